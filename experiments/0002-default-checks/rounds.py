#!/usr/bin/env python3
"""rounds.py N BUILD [ROW...]: the table docs/results/checks.txt. BUILD is now.sh's $OUT; the bench's programs are those of ../../target/release.

N rounds over the rows of suite throughput (all, or those named): with checks, without, and with checks under safety:guard, in another order
each round. A row is the median, divided by that of the build with checks.
"""
import math, os, statistics, subprocess, sys, tempfile, tomllib

rounds, build, wanted = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
bench = os.path.join(top, "target/release/bench-")
with open(os.path.join(top, "crates/bench/definitions/throughput.toml"), "rb") as f:
    rows = {w["name"]: w["args"] for w in tomllib.load(f)["workload"]}
rows = {n: a for n, a in rows.items() if not wanted or n in wanted}
builds = [("with", "with", None), ("without", "without", None), ("guard", "with", "safety:guard")]
runs = {n: {b[0]: [] for b in builds} for n in rows}
with tempfile.TemporaryDirectory() as folder:
    out = os.path.join(folder, "out")
    for i in range(rounds):
        order = builds[i % 3:] + builds[:i % 3]
        for name, args in rows.items():
            for label, library, conf in order[::-1] if i % 2 else order:
                env = ["--env", f"LD_PRELOAD={os.path.abspath(build)}/{library}.so"]
                if conf:
                    env += ["--env", "AETHALLOC_CONF=" + conf]
                command = [bench + "launcher", "--out", out, "--timeout", "120", "--stdout", "/dev/null", *env]
                subprocess.run([*command, "--", bench + "work", *args], check=True)
                # Wall time, user and system time, peak, of which the units do not matter here; the status last.
                v = open(out).read().splitlines()[1].split()
                if v[-1] != "0":
                    sys.exit(f"{name}, {label}: status {v[-1]}")
                runs[name][label].append((int(v[1]) + int(v[2]), int(v[0]), int(v[3])))

columns = [(label, k) for label in ("without", "guard") for k in range(3)]
middle = lambda name, label, k: statistics.median(run[k] for run in runs[name][label])
print(f"{'workload':<20}" + "".join(f"{l + ' ' + ('user + sys', 'wall', 'peak')[k]:>20}" for l, k in columns))
sums = [0.0] * len(columns)
for name in rows:
    ratios = [middle(name, l, k) / middle(name, "with", k) for l, k in columns]
    sums = [s + math.log(r) for s, r in zip(sums, ratios)]
    print(f"{name:<20}" + "".join(f"{r:>20.3f}" for r in ratios))
print(f"{'geometric mean':<20}" + "".join(f"{math.exp(s / len(rows)):>20.3f}" for s in sums))

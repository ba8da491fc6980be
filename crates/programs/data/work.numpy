# Arrays of many sizes and types, from and to files and threads; the argument is the number of rounds.
import hashlib, io, sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np

def work(seed):
    r = np.random.default_rng(seed)
    total = hashlib.sha256()
    for i in range(60):
        shape = tuple(int(n) for n in r.integers(1, 60, size=int(r.integers(1, 4))))
        a = r.integers(-1000, 1000, size=shape)
        b = (a * 3 + np.arange(a.size).reshape(shape)).astype(np.int32)
        c = np.sort(np.concatenate([a.ravel(), b.ravel()]))
        total.update(np.unique(c).tobytes())
        total.update(np.cumsum(np.where(b > 0, b, -b).ravel()).tobytes())
        file = io.BytesIO()
        np.savez_compressed(file, a=a, b=b)
        file.seek(0)
        back = np.load(file)
        assert (back["a"] == a).all() and (back["b"] == b).all()
    big = r.integers(0, 1 << 40, size=400_000)
    total.update(np.lexsort((big % 1000, big)).tobytes())
    words = np.array(["w%d" % (n % 5000) for n in big[:20000]])
    total.update("".join(np.char.add(np.unique(words), "x")).encode())
    table = np.zeros(5000, dtype=[("n", "i4"), ("o", "O")])
    for n in range(5000):
        table[n] = (n, str(n) * (n % 9))
    total.update("".join(table["o"][::-1]).encode())
    return total.hexdigest()

rounds = int(sys.argv[1])
print(work(0))
with ThreadPoolExecutor(4) as pool:
    for line in pool.map(work, range(1, 4 * rounds)):
        print(line)

//! Programs that compute with arrays, tables and pictures.

use crate::data::Numbers;
use crate::program::{Facts, Failure, Level, Program, processes, tool};
use crate::run::Run;

/// Python's arrays, from threads.
pub const NUMPY: Program = Program {
    name: "numpy",
    task: "arrays of many sizes built, sorted, compressed and read again in four threads",
    tools: &[
        tool(
            "/usr/lib/python3/dist-packages/numpy/__init__.py",
            "python3-numpy",
        ),
        tool("python3", "python3"),
    ],
    from: Level::Full,
    expected: processes(&["python3"]),
    note: "",
    task_fn: |run| {
        run.write("work.py", include_str!("../../data/work.numpy"))?;
        let rounds = run.size(1, 4).to_string();
        let output = run
            .launch("python3")
            .args(["work.py", &rounds])
            .env("PYTHONMALLOC", "malloc")
            .ok()?;
        Ok(vec![("output".into(), output)])
    },
};

/// Statistics.
pub const R: Program = Program {
    name: "r",
    task: "data frames, a linear model, regular expressions and matrices",
    tools: &[tool("Rscript", "r-base-core")],
    from: Level::Full,
    expected: processes(&["R"]),
    note: "",
    task_fn: |run| {
        run.write("work.R", include_str!("../../data/work.R"))?;
        let rounds = run.size(2, 12).to_string();
        let output = run
            .launch("Rscript")
            .args(["--vanilla", "work.R", &rounds])
            .ok()?;
        Ok(vec![("output".into(), output)])
    },
};

/// Pictures.
pub const IMAGEMAGICK: Program = Program {
    name: "imagemagick",
    task: "draws, blurs, quantises, composes and converts pictures with threads",
    tools: &[tool("convert", "imagemagick")],
    from: Level::Normal,
    expected: processes(&["convert"]),
    note: "",
    task_fn: imagemagick,
};

fn imagemagick(run: &Run) -> Result<Facts, Failure> {
    let side = run.size(100, 500);
    let mut numbers = Numbers(17);
    let mut picture = format!("P6 {side} {side} 255\n").into_bytes();
    for i in 0..side * side {
        let shade = (i % side * 255 / side) as u8;
        picture.extend([shade, (numbers.next() & 63) as u8, (i / side % 256) as u8]);
    }
    run.write("in.ppm", picture)?;
    let convert = |args: &[&str]| run.launch("convert").args(args).ok();
    let plain = [
        "+set",
        "date:create",
        "-define",
        "png:exclude-chunks=date,time",
    ];
    let mut facts = Facts::new();
    for (name, steps) in [
        ("blur.ppm", &["in.ppm", "-blur", "0x4", "-rotate", "30"][..]),
        (
            "few.gif",
            &[
                "in.ppm",
                "-resize",
                "150%",
                "-colors",
                "16",
                "-dither",
                "FloydSteinberg",
            ],
        ),
        (
            "edge.ppm",
            &["in.ppm", "-edge", "2", "-negate", "-swirl", "90"],
        ),
        (
            "tiles.ppm",
            &[
                "in.ppm", "-crop", "40x40", "+repage", "-flip", "-append", "-resize", "20x",
            ],
        ),
        (
            "mix.ppm",
            &[
                "in.ppm",
                "(",
                "in.ppm",
                "-flop",
                "-charcoal",
                "2",
                ")",
                "-compose",
                "multiply",
                "-composite",
            ],
        ),
    ] {
        convert(&[steps, &plain[..], &[name]].concat())?;
        facts.push((name.into(), run.read(name)?));
    }
    let lines = convert(&["few.gif", "-unique-colors", "txt:-"])?;
    facts.push(("colours".into(), lines));
    Ok(facts)
}

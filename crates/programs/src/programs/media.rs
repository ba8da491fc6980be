//! Programs with many libraries: video, documents, a browser.

use crate::data::Numbers;
use crate::program::{Expected, Facts, Failure, Level, Program, processes, tool};
use crate::run::Run;

/// Filters and encoders with threads.
pub const FFMPEG: Program = Program {
    name: "ffmpeg",
    task: "generates video and sound, filters, encodes to x264 and FLAC, decodes again",
    tools: &[tool("ffmpeg", "ffmpeg")],
    from: Level::Full,
    expected: processes(&["ffmpeg"]),
    note: "",
    task_fn: ffmpeg,
};

fn ffmpeg(run: &Run) -> Result<Facts, Failure> {
    let seconds = run.size(1, 8);
    let ffmpeg = |args: &[&str]| {
        run.launch("ffmpeg")
            .args(["-nostdin", "-v", "error", "-y", "-bitexact"])
            .args(args)
            .ok()
    };
    let video = format!("testsrc2=size=640x360:rate=25:duration={seconds}");
    let sound = format!("sine=frequency=440:duration={seconds}");
    ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        &video,
        "-f",
        "lavfi",
        "-i",
        &sound,
        "-c:v",
        "libx264",
        "-threads",
        "2",
        "-preset",
        "fast",
        "-flags",
        "+bitexact",
        "-fflags",
        "+bitexact",
        "-c:a",
        "flac",
        "out.mkv",
    ])?;
    let filter = "hflip,eq=contrast=1.2,unsharp,scale=320:-2";
    Ok(vec![
        ("file".into(), run.read("out.mkv")?),
        (
            "frames".into(),
            ffmpeg(&["-i", "out.mkv", "-vf", filter, "-f", "framemd5", "-"])?,
        ),
        (
            "sound".into(),
            ffmpeg(&["-i", "out.mkv", "-map", "0:a", "-f", "md5", "-"])?,
        ),
    ])
}

/// A spreadsheet converted without a screen.
pub const LIBREOFFICE: Program = Program {
    name: "libreoffice",
    task: "converts a table to a spreadsheet with formulas, and that to text",
    tools: &[tool("soffice", "libreoffice-calc-nogui")],
    from: Level::Full,
    expected: processes(&["soffice.bin"]),
    note: "",
    task_fn: libreoffice,
};

fn libreoffice(run: &Run) -> Result<Facts, Failure> {
    let mut numbers = Numbers(3);
    let mut table = String::from("name,a,b,sum,text\n");
    for row in 2..run.size(200, 6000) {
        let (a, b) = (numbers.below(1000), numbers.below(1000));
        let text = numbers.text(4).replace('\n', " ");
        table.push_str(&format!("row{row},{a},{b},=B{row}*2+C{row},{text}\n"));
    }
    run.write("table.csv", table)?;
    let convert = |to: &str, file: &str| {
        run.launch("soffice")
            .args(["--headless", "--norestore"])
            .arg(format!(
                "-env:UserInstallation=file://{}",
                run.path("profile").display()
            ))
            .args(["--convert-to", to, file])
            .limit(400)
            .ok()
    };
    convert("ods", "table.csv")?;
    std::fs::rename(run.path("table.ods"), run.path("again.ods"))
        .map_err(|e| format!("table.ods: {e}"))?;
    convert("csv", "again.ods")?;
    Ok(vec![("text".into(), run.read("again.csv")?)])
}

/// A browser on a local page, and the page after its script ran.
pub const CHROMIUM: Program = Program {
    name: "chromium",
    task: "loads a page whose script builds 2000 elements; the document compared",
    tools: &[tool("chromium", "chromium")],
    from: Level::Full,
    expected: Expected {
        processes: &["chromium"],
        own_allocator: &[
            "chromium",
            "chrome_crashpad_handler",
            "chrome_crashpad",
            "chrome-sandbox",
        ],
        silent: &["chromium", "chrome_crashpad_handler", "exe"],
    },
    note: "defines `malloc` itself (PartitionAlloc), which goes before any preload: the library is loaded and idle",
    task_fn: chromium,
};

fn chromium(run: &Run) -> Result<Facts, Failure> {
    let page = run.write("page.html", include_str!("../../data/page.html"))?;
    let profile = format!("--user-data-dir={}", run.path("profile").display());
    let document = run
        .launch("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &profile,
        ])
        .args(["--disable-dev-shm-usage", "--dump-dom"])
        .arg(format!("file://{}", page.display()))
        .limit(150)
        .ok()?;
    Ok(vec![("document".into(), document)])
}

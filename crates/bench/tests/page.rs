//! The page, opened in a browser.

mod support;

use std::path::Path;
use std::process::Command;

use support::{Outcome, may_miss};

const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

fn browser() -> Option<String> {
    let path = std::env::var_os("PATH")?;
    let dirs: Vec<_> = std::env::split_paths(&path).collect();
    let found = BROWSERS
        .iter()
        .find(|name| dirs.iter().any(|d| d.join(name).is_file()))?;
    Some((*found).to_string())
}

/// A page of bars and points.
#[test]
fn page_fits_a_desk_and_a_phone() -> Outcome {
    let workloads = "pair-16,random-small,dormant-owners,calls-quiet";
    let args = [
        "--suite",
        "quick",
        "--workloads",
        workloads,
        "--rounds",
        "3",
    ];
    let Some(page) = fits(&args, 8)? else {
        return Ok(());
    };
    assert_eq!(page.matches("<polyline").count(), 0);
    Ok(())
}

/// A page of lines over the number of threads: one drawing of the means and one of the program, a line for each allocator.
#[test]
fn page_of_lines_fits_a_desk_and_a_phone() -> Outcome {
    let args = [
        "--suite",
        "scaling",
        "--workloads",
        "many-churn",
        "--threads",
        "1,2,3",
        "--rounds",
        "1",
    ];
    let Some(page) = fits(&args, 5)? else {
        return Ok(());
    };
    assert!(page.contains("Over the number of threads"));
    let lines: Vec<&str> = page.split("<polyline").skip(1).collect();
    assert_eq!(lines.len(), 4);
    for line in lines {
        let points = line
            .split("points=\"")
            .nth(1)
            .and_then(|l| l.split('"').next());
        let numbers = points.unwrap_or_default().split(' ');
        assert_eq!(
            numbers.filter(|n| n.parse::<f64>().is_ok()).count(),
            6,
            "{line}"
        );
    }
    Ok(())
}

/// Measures with two allocators and opens the page: at both widths nothing is wider than the screen, every drawing (there
/// are at least so many) has a size, and no letter of a drawing is smaller than 10 pixels. Returns the page; none
/// without a browser.
fn fits(args: &[&str], least: usize) -> Result<Option<String>, Box<dyn std::error::Error>> {
    let Some(browser) = browser() else {
        assert!(
            may_miss(),
            "no chromium: apt-get install chromium (AETHALLOC_ALLOW_MISSING=1 skips this test)"
        );
        println!("skipped: no chromium");
        return Ok(None);
    };
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("r.json").display().to_string();
    let output = support::run(&[args, &["--peers", "glibc,glibc-slowed", "--out", &out]].concat())?;
    assert!(output.status.success(), "{}", support::errors(&output));
    // Which peer or program failed, where the page lacks something.
    println!("{}", support::errors(&output));
    let page = std::fs::read_to_string(folder.path().join("r.html"))?;
    assert!(
        !page.contains("<script") && !page.contains("http"),
        "the page must be self-contained"
    );
    assert!(
        !page.contains("NaN") && !page.contains(">inf"),
        "a figure that is none"
    );
    for width in [1280, 390] {
        let report = measure(&browser, folder.path(), &page, width)?;
        let numbers: Vec<f64> = report.split(' ').filter_map(|n| n.parse().ok()).collect();
        let [wide, drawings, flat, letters, cut] = numbers[..] else {
            return Err(format!("browser said '{report}'").into());
        };
        assert!(
            wide <= f64::from(width),
            "at {width} px the page is {wide} px wide"
        );
        assert!(
            drawings >= least as f64 && flat == 0.0,
            "at {width} px: {drawings} drawings, {flat} without a size"
        );
        assert!(letters >= 10.0, "at {width} px letters of {letters} px");
        assert!(cut == 0.0, "at {width} px {cut} texts leave their drawing");
    }
    Ok(Some(page))
}

/// Opens the page in a frame of the given width (a browser window has a smallest width of its own) and asks it for
/// its width, the number of drawings, how many of them have no size, the smallest letters in them, and
/// how many texts are cut off at a side.
fn measure(
    browser: &str,
    folder: &Path,
    page: &str,
    width: u32,
) -> Result<String, Box<dyn std::error::Error>> {
    let question = "<script>addEventListener('load',()=>{const s=[...document.querySelectorAll('svg')];\
        const r=s.map(x=>x.getBoundingClientRect());const k=s.map((x,i)=>r[i].width/x.viewBox.baseVal.width);\
        const t=s.flatMap((x,i)=>[...x.querySelectorAll('text')].map(y=>k[i]*parseFloat(getComputedStyle(y).fontSize)));\
        parent.postMessage([document.documentElement.scrollWidth,s.length,\
        r.filter(x=>x.width<50||x.height<10).length,Math.min(...t),\
        s.flatMap((x,i)=>[...x.querySelectorAll('text')].map(y=>y.getBoundingClientRect())\
        .filter(b=>b.left<r[i].left-1||b.right>r[i].right+1)).length].join(' '),'*')})</script></body>";
    std::fs::write(folder.join("asked.html"), page.replace("</body>", question))?;
    let frame = format!(
        "<html><body><script>addEventListener('message',e=>document.body.setAttribute('data-answer',e.data))</script>\
         <iframe src=\"asked.html\" style=\"width:{width}px;height:900px;border:0\"></iframe></body></html>"
    );
    let file = folder.join("frame.html");
    std::fs::write(&file, frame)?;
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--virtual-time-budget=5000",
        ])
        .arg("--allow-file-access-from-files")
        .arg(format!(
            "--user-data-dir={}",
            folder.join("profile").display()
        ))
        .arg("--dump-dom")
        .arg(format!("file://{}", file.display()))
        .output()?;
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let answer = dom
        .split("data-answer=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    Ok(answer
        .ok_or_else(|| format!("no answer from the browser: {}", support::errors(&output)))?
        .to_string())
}

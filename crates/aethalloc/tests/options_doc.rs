//! `docs/options.md` is written from the list of options and says something about each.
//!
//! `AETHALLOC_BLESS=1 cargo test -p aethalloc --test options_doc` writes the table anew.

use aethalloc::{OptionInfo, Value, options};
use aethalloc_base::options::{Kind, LIST};
use std::fmt::Write;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/options.md");
const BEGIN: &str = "<!-- table:begin -->\n";
const END: &str = "<!-- table:end -->\n";

/// What values an option takes, for people.
fn values(o: &OptionInfo) -> String {
    let Some(d) = LIST.iter().find(|d| d.key == o.key) else {
        panic!("{} is not declared", o.key);
    };
    let (low, high) = d.range;
    match d.kind {
        Kind::Switch => "on, off".into(),
        Kind::Choice(words) => words.join(", "),
        Kind::Path => "a file's path, without a comma".into(),
        Kind::Count => format!("{low} to {high}"),
        Kind::Size if high == usize::MAX => format!("bytes, from {}", Value::Size(low)),
        Kind::Size => format!("bytes, {} to {}", Value::Size(low), Value::Size(high)),
    }
}

fn table() -> String {
    let mut text = "| key | values | default | at run time | |\n|---|---|---|---|---|\n".to_owned();
    for o in options() {
        let default = match o.default {
            Value::Path(_) => "none".to_owned(),
            value => value.to_string(),
        };
        let changeable = if o.changeable { "yes" } else { "no" };
        let line = (o.key, values(&o), default, changeable, o.help);
        writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            line.0, line.1, line.2, line.3, line.4
        )
        .expect("text");
    }
    text
}

fn page() -> (String, usize, usize) {
    let page = std::fs::read_to_string(PAGE).expect("docs/options.md");
    let begin = page.find(BEGIN).expect("the table's begin") + BEGIN.len();
    let end = page.find(END).expect("the table's end");
    (page, begin, end)
}

#[test]
fn the_table_is_the_list() {
    let (page, begin, end) = page();
    let table = table();
    if std::env::var_os("AETHALLOC_BLESS").is_some() {
        let new = format!("{}{table}{}", &page[..begin], &page[end..]);
        std::fs::write(PAGE, new).expect("docs/options.md is written");
        return;
    }
    assert_eq!(&page[begin..end], table, "run again with AETHALLOC_BLESS=1");
}

/// Every option has a section of its own, and no section is about an option that does not exist.
#[test]
fn every_option_has_a_section() {
    let (page, _, _) = page();
    let sections: Vec<&str> = page
        .lines()
        .filter_map(|l| l.strip_prefix("### `"))
        .filter_map(|l| l.strip_suffix('`'))
        .collect();
    let keys: Vec<&str> = options().map(|o| o.key).collect();
    assert_eq!(sections, keys, "sections in the order of the list");
}

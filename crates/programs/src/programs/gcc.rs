//! gcc compiles C++ that is heavy on templates, links it and the result runs.

use crate::program::{Facts, Failure, Level, Program, processes, tool};
use crate::run::Run;
use std::fmt::Write;

/// The compiler, the assembler, the linker and what they made.
pub const GCC: Program = Program {
    name: "gcc",
    task: "compiles template-heavy C++ at -O2, links and runs it; object and assembly compared",
    tools: &[tool("g++", "g++")],
    from: Level::Quick,
    expected: processes(&["cc1plus", "collect2", "big"]),
    note: "",
    task_fn: compile,
};

fn compile(run: &Run) -> Result<Facts, Failure> {
    run.write("big.cpp", source(run.size(1, 7)))?;
    let gcc = |args: &[&str]| {
        run.launch("g++")
            .args(["-std=c++17", "-O2", "-frandom-seed=1"])
            .args(args)
            .ok()
    };
    gcc(&["-c", "big.cpp", "-o", "big.o"])?;
    gcc(&["-S", "-O0", "big.cpp", "-o", "big.s"])?;
    gcc(&["big.o", "-o", "big"])?;
    let big = run.path("big");
    Ok(vec![
        ("object".into(), run.read("big.o")?),
        ("assembly".into(), run.read("big.s")?),
        ("output".into(), run.launch(&big.to_string_lossy()).ok()?),
    ])
}

/// C++ of `count` types, each in containers and algorithms of its own.
pub fn source(count: usize) -> String {
    let mut text = String::from(
        "#include <algorithm>\n#include <deque>\n#include <functional>\n#include <iostream>\n#include <map>\n\
         #include <memory>\n#include <numeric>\n#include <regex>\n#include <set>\n#include <sstream>\n#include <string>\n\
         #include <unordered_map>\n#include <variant>\n#include <vector>\n",
    );
    for i in 0..count {
        // Writing to a String cannot fail.
        let _ = write!(text, "{}", TYPE.replace("@", &i.to_string()));
    }
    text.push_str("int main() {\n");
    for i in 0..count {
        let _ = writeln!(text, "  std::cout << work{i}() << '\\n';");
    }
    text.push_str("}\n");
    text
}

const TYPE: &str = r#"
struct T@ {
    int key; std::string name; std::vector<double> values;
    bool operator<(const T@& o) const { return key < o.key || (key == o.key && name < o.name); }
    bool operator==(const T@& o) const { return key == o.key && name == o.name; }
};
struct Hash@ { std::size_t operator()(const T@& t) const { return std::hash<std::string>()(t.name) ^ t.key; } };
static std::string work@() {
    std::map<T@, std::set<std::string>> tree;
    std::unordered_map<T@, std::shared_ptr<T@>, Hash@> table;
    std::deque<std::variant<int, std::string, T@>> queue;
    for (int i = 0; i < 2000 + @; i++) {
        T@ t{i * 7919 % 1009, std::to_string(i * @), std::vector<double>(i % 17, i)};
        tree[t].insert(t.name);
        table.emplace(t, std::make_shared<T@>(t));
        if (i % 3 == 0) queue.emplace_back(i); else if (i % 3 == 1) queue.emplace_back(t.name); else queue.emplace_back(t);
        if (i % 5 == 0) queue.pop_front();
    }
    std::vector<T@> sorted;
    for (auto& [t, names] : tree) sorted.push_back(t);
    std::stable_sort(sorted.begin(), sorted.end(), [](auto& a, auto& b) { return a.name < b.name; });
    std::ostringstream out;
    for (auto& t : sorted) out << t.name << ',';
    std::regex digits("([0-9]+)@");
    std::string text = out.str().substr(0, 2000);
    auto found = std::distance(std::sregex_iterator(text.begin(), text.end(), digits), std::sregex_iterator());
    std::function<long(long)> fold = [&](long n) { return n + std::accumulate(text.begin(), text.end(), 0L); };
    std::size_t held = 0;
    for (auto& item : queue) held += std::visit([](auto& v) { return sizeof(v); }, item);
    return std::to_string(found) + " " + std::to_string(fold(held)) + " " + std::to_string(table.size());
}
"#;

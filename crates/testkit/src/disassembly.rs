//! Reads `objdump` of one x86_64 function and follows every path through it.
//!
//! A *fast path* leads from the entry to a `ret` of the same function without a call and without a jump out of it.
//! Everything else is slow by definition: it leaves the function.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{Missing, Tool, symbols};

/// One instruction, in Intel syntax.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instruction {
    /// With prefixes, e.g. `lock inc`.
    pub mnemonic: String,
    /// Split at commas.
    pub operands: Vec<String>,
}

/// What one fast path costs.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Cost {
    /// Instructions, the `ret` included.
    pub instructions: usize,
    /// Explicit memory operands that are read.
    pub loads: usize,
    /// Explicit memory operands that are written.
    pub stores: usize,
}

/// A fast path through a function.
#[derive(Clone, Debug)]
pub struct FastPath {
    /// Its instructions in order.
    pub listing: Vec<Instruction>,
}

/// The body of one function.
#[derive(Debug)]
pub struct Function {
    body: BTreeMap<u64, Instruction>,
    entry: u64,
}

/// Where control goes after an instruction.
enum Next {
    Falls,
    Returns,
    Jumps(u64),
    Branches(u64),
    /// Call, trap, indirect jump.
    Leaves,
}

impl Function {
    /// Disassembles an exported function of a library; `Ok(None)` if it does not export one of that name.
    ///
    /// # Errors
    /// [`Missing`] without binutils.
    pub fn disassemble(library: &Path, name: &str) -> Result<Option<Self>, Missing> {
        let Some((address, size)) = symbols::function(library, name)? else {
            return Ok(None);
        };
        let listing = Tool::find("objdump")?.output(&[
            "-d",
            "--no-show-raw-insn",
            "-M",
            "intel",
            &format!("--start-address={address:#x}"),
            &format!("--stop-address={:#x}", address + size),
            &library.to_string_lossy(),
        ]);
        Ok(Some(Self::parse(&listing, address)))
    }

    /// Reads what `objdump -d --no-show-raw-insn -M intel` printed.
    pub fn parse(listing: &str, entry: u64) -> Self {
        let body = listing.lines().filter_map(parse_line).collect();
        Self { body, entry }
    }

    /// Every fast path.
    ///
    /// # Errors
    /// A description, if a path without a call has a loop: its length is then unbounded.
    pub fn fast_paths(&self) -> Result<Vec<FastPath>, String> {
        let mut found = Vec::new();
        let mut open = vec![(self.entry, Vec::<u64>::new())];
        while let Some((address, mut path)) = open.pop() {
            let Some(instruction) = self.body.get(&address) else {
                continue; // out of this function
            };
            if path.contains(&address) {
                return Err(format!("a loop without a call comes back to {address:#x}"));
            }
            path.push(address);
            let after = self.body.range(address + 1..).next().map(|(&next, _)| next);
            match instruction.next() {
                Next::Returns => found.push(FastPath {
                    listing: path.iter().map(|at| self.body[at].clone()).collect(),
                }),
                Next::Jumps(to) => open.push((to, path)),
                Next::Branches(to) => {
                    open.push((to, path.clone()));
                    open.extend(after.map(|next| (next, path)));
                }
                Next::Falls => open.extend(after.map(|next| (next, path))),
                Next::Leaves => {}
            }
        }
        Ok(found)
    }
}

impl FastPath {
    /// Counts it.
    pub fn cost(&self) -> Cost {
        let mut cost = Cost {
            instructions: self.listing.len(),
            ..Cost::default()
        };
        for instruction in &self.listing {
            let (loads, stores) = instruction.memory();
            cost.loads += usize::from(loads);
            cost.stores += usize::from(stores);
        }
        cost
    }

    /// What a fast path may not hold: a stack frame, or an instruction that locks the bus.
    pub fn faults(&self) -> Vec<String> {
        self.listing
            .iter()
            .filter(|instruction| instruction.makes_frame() || instruction.locks())
            .map(Instruction::to_string)
            .collect()
    }
}

impl std::fmt::Display for FastPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for instruction in &self.listing {
            writeln!(f, "    {instruction}")?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Instruction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.mnemonic, self.operands.join(","))
    }
}

impl Instruction {
    fn new(text: &str) -> Self {
        const PREFIXES: [&str; 8] = [
            "lock", "rep", "repz", "repnz", "bnd", "notrack", "data16", "cs",
        ];
        let mut words = text.split_whitespace();
        let mut mnemonic = words.next().unwrap_or_default().to_owned();
        while PREFIXES.contains(&mnemonic.rsplit(' ').next().unwrap_or_default()) {
            let Some(word) = words.next() else { break };
            mnemonic = format!("{mnemonic} {word}");
        }
        let rest = words.collect::<Vec<_>>().join(" ");
        let operands = rest
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        Self {
            mnemonic,
            operands: operands.map(str::to_owned).collect(),
        }
    }

    /// The mnemonic without prefixes.
    fn operation(&self) -> &str {
        self.mnemonic.rsplit(' ').next().unwrap_or_default()
    }

    fn next(&self) -> Next {
        let target = || {
            let text = self.operands.first()?.split_whitespace().next()?;
            u64::from_str_radix(text.trim_start_matches("0x"), 16).ok()
        };
        match self.operation() {
            "ret" => Next::Returns,
            "call" | "ud2" | "hlt" | "int3" | "syscall" => Next::Leaves,
            "jmp" => target().map_or(Next::Leaves, Next::Jumps),
            other if other.starts_with('j') => target().map_or(Next::Leaves, Next::Branches),
            _ => Next::Falls,
        }
    }

    /// Whether it reads and whether it writes an explicit memory operand.
    fn memory(&self) -> (bool, bool) {
        let operation = self.operation();
        // objdump marks every memory operand with its width, except that of `lea`; `nop` touches none.
        let Some(position) = self.operands.iter().position(|part| part.contains("PTR")) else {
            return (false, false);
        };
        let reads_only = ["cmp", "test", "bt"].contains(&operation);
        let writes_only = operation.starts_with("mov") || operation.starts_with("set");
        match (operation, position) {
            ("nop" | "lea", _) => (false, false),
            (_, 0) if reads_only => (true, false),
            (_, 0) if writes_only => (false, true),
            // One operand that is a source: mul, div and push.
            ("mul" | "imul" | "div" | "idiv" | "push" | "jmp" | "call", 0) => (true, false),
            (_, 0) => (true, true),
            ("xchg" | "xadd" | "cmpxchg", _) => (true, true),
            _ => (true, false),
        }
    }

    fn makes_frame(&self) -> bool {
        let touches_stack_pointer = matches!(
            self.operands.first().map(String::as_str),
            Some("rsp" | "rbp")
        );
        ["push", "pop", "enter", "leave"].contains(&self.operation())
            || (touches_stack_pointer && !["cmp", "test"].contains(&self.operation()))
    }

    fn locks(&self) -> bool {
        let has_memory = self.memory() != (false, false);
        self.mnemonic.starts_with("lock ") || (self.operation() == "xchg" && has_memory)
    }
}

/// Reads `  11f0:\tmov    rax,QWORD PTR [rdi+0x8]        # comment`.
fn parse_line(line: &str) -> Option<(u64, Instruction)> {
    let (address, text) = line.trim_start().split_once(":\t")?;
    let address = u64::from_str_radix(address, 16).ok()?;
    let text = text.split('#').next()?.trim();
    (!text.is_empty()).then(|| (address, Instruction::new(text)))
}

#[cfg(test)]
mod tests {
    use super::{Cost, Function, Instruction};

    const MALLOC: &str = "\
lib.so:     file format elf64-x86-64

0000000000001000 <malloc>:
    1000:\tcmp    rdi,0x8000
    1007:\tja     1030 <malloc+0x30>
    1009:\tlea    eax,[rdi+0xf]
    100c:\tmov    rdx,QWORD PTR [rip+0x2fe9]        # 3ffc <TLS>
    1013:\tmov    ecx,DWORD PTR fs:[rdx+rax*8]
    1017:\tsub    ecx,0x1
    101a:\tjb     2000 <slow>
    1020:\tmov    DWORD PTR fs:[rdx+rax*8],ecx
    1024:\tadd    QWORD PTR [rdx],0x1
    1028:\tret
    1030:\tjmp    2000 <slow>
";

    #[test]
    fn one_fast_path_is_counted() {
        let paths = Function::parse(MALLOC, 0x1000)
            .fast_paths()
            .expect("no loop");
        assert_eq!(paths.len(), 1);
        let expected = Cost {
            instructions: 10,
            loads: 3,
            stores: 2,
        };
        assert_eq!(paths[0].cost(), expected, "{}", paths[0]);
        assert!(paths[0].faults().is_empty());
    }

    #[test]
    fn paths_that_call_are_slow_and_loops_are_refused() {
        let calls = "1000:\tcall   2000 <f>\n1005:\tret\n";
        let paths = Function::parse(calls, 0x1000).fast_paths();
        assert!(paths.is_ok_and(|paths| paths.is_empty()));
        let loops = "1000:\tdec    rdi\n1003:\tjne    1000 <f>\n1005:\tret\n";
        assert!(Function::parse(loops, 0x1000).fast_paths().is_err());
    }

    #[test]
    fn both_sides_of_a_branch_are_followed() {
        let text = "1000:\ttest   rdi,rdi\n1003:\tje     1006 <f+0x6>\n1005:\tret\n1006:\tnop\n1007:\tret\n";
        let mut lengths: Vec<usize> = Function::parse(text, 0x1000)
            .fast_paths()
            .expect("no loop")
            .iter()
            .map(|path| path.cost().instructions)
            .collect();
        lengths.sort_unstable();
        assert_eq!(lengths, [3, 4]);
    }

    #[test]
    fn memory_operands() {
        for (text, expected) in [
            ("mov rax,QWORD PTR fs:0x0", (true, false)),
            ("mov BYTE PTR [rax],0x1", (false, true)),
            ("cmp DWORD PTR [rax],ecx", (true, false)),
            ("or QWORD PTR [rax],rcx", (true, true)),
            ("inc DWORD PTR [rax]", (true, true)),
            ("movzx eax,BYTE PTR [rcx+rax*1]", (true, false)),
            ("imul rax,QWORD PTR [rcx],0x5", (true, false)),
            ("lea rax,[rdi+0x10]", (false, false)),
            ("nop WORD PTR cs:[rax+rax*1+0x0]", (false, false)),
            ("cmovb rax,QWORD PTR [rcx]", (true, false)),
        ] {
            assert_eq!(Instruction::new(text).memory(), expected, "{text}");
        }
    }

    #[test]
    fn frames_and_locks_are_seen() {
        for text in [
            "push rbx",
            "sub rsp,0x18",
            "lock inc DWORD PTR [rax]",
            "xchg QWORD PTR [rdi],rax",
        ] {
            let instruction = Instruction::new(text);
            assert!(instruction.makes_frame() || instruction.locks(), "{text}");
        }
        for text in [
            "xchg ax,ax",
            "mov rax,QWORD PTR [rsp+0x8]",
            "inc DWORD PTR [rax]",
        ] {
            let instruction = Instruction::new(text);
            assert!(!instruction.makes_frame() && !instruction.locks(), "{text}");
        }
    }
}

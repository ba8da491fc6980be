//! The allocator's lock-free protocols under loom: every interleaving and every value that the memory model allows.
//!
//! The modules here are the production files themselves, compiled against [`sync`] instead of the crate's atomics. Each
//! model runs twice or more: as written it must hold; with one named ordering weakened to Relaxed (see
//! [`fault::Fault`]) loom must find the bug, which shows that the model can see what the ordering is for.

mod fault;
mod sync;

#[path = "../../src/bell/word.rs"]
#[allow(dead_code)]
mod bell_word;
#[path = "../../src/span/claim.rs"]
#[allow(dead_code)]
mod claim;
#[path = "../../src/space/entry.rs"]
#[allow(dead_code)]
mod entry;
#[path = "../../src/pages/region.rs"]
#[allow(dead_code)]
mod region;
#[path = "../../src/span/waiting.rs"]
#[allow(dead_code)]
mod waiting;

mod bell;
mod claim_word;
mod owner_lock;
mod page_map;
mod region_word;
mod waiting_blocks;

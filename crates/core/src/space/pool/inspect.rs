//! The rules of the metadata's pools, checked under their lock. Read only.

use super::{Head, LINK, POOLS, SIZES, capacity};
use crate::rule::{Broken, equal, holds};
use crate::space::meta::{self, CHUNK};
use core::ptr::null_mut;

/// Checks every chunk and list; the places taken of each pool.
pub fn check() -> Result<[usize; SIZES.len()], Broken> {
    let _held = meta::lock().take();
    let mut taken = [0; SIZES.len()];
    founding(&mut taken)?;
    let (mut with_room, mut without) = (0, 0);
    // SAFETY: under the lock; every chunk begins with a head, or is all zero.
    unsafe {
        let mut failed = None;
        meta::each_chunk(|chunk| {
            let h = chunk.cast::<Head>();
            let (i, n) = ((*h).pool as usize, (*h).taken as usize);
            let ones: u32 = (*h).map.iter().map(|w| w.count_ones()).sum();
            let most = SIZES.get(i).map_or(0, |size| capacity(*size));
            let ok = equal(
                "chunk: places taken = ones of its map",
                chunk.addr(),
                n,
                ones as usize,
            )
            .and(holds(
                "chunk: no more places than fit",
                chunk.addr(),
                n <= most && (*h).fresh as usize <= most,
            ))
            .and(holds(
                "chunk: what is taken was once fresh",
                chunk.addr(),
                n <= (*h).fresh as usize || n == 0,
            ));
            failed = failed.or(ok.err());
            if let Some(sum) = taken.get_mut(i) {
                *sum += n;
            }
            with_room += (n != 0 && n < most) as usize;
            without += (n == 0) as usize;
        });
        if let Some(broken) = failed {
            return Err(broken);
        }
        let pools = &*POOLS.0.get();
        for i in 0..SIZES.len() {
            let mut h = pools.open.get(i).copied().unwrap_or(null_mut());
            let mut before: *mut Head = null_mut();
            while !h.is_null() {
                equal(
                    "pool: open chunks are of its size",
                    h.addr(),
                    (*h).pool as usize,
                    i,
                )?;
                equal(
                    "pool: links back",
                    h.addr(),
                    (*h).prev.addr(),
                    before.addr(),
                )?;
                let n = (*h).taken as usize;
                holds(
                    "pool: open chunks have room",
                    h.addr(),
                    n < SIZES.get(i).map_or(0, |s| capacity(*s)),
                )?;
                if n != 0 {
                    holds("pool: an open chunk is listed once", i, with_room != 0)?;
                    with_room -= 1;
                } else {
                    holds("pool: an open chunk is listed once", i, without != 0)?;
                    without -= 1;
                }
                (before, h) = (h, (*h).next);
            }
            let mut h = pools.empty.get(i).copied().unwrap_or(null_mut());
            while !h.is_null() {
                holds("pool: an empty chunk is listed once", i, without != 0)?;
                without -= 1;
                holds(
                    "pool: chunks are aligned",
                    h.addr(),
                    h.addr().is_multiple_of(CHUNK),
                )?;
                h = (*h).next;
            }
        }
    }
    equal("pools: every chunk with room is listed", 0, with_room, 0)?;
    equal("pools: every empty chunk is listed", 0, without, 0)?;
    Ok(taken)
}

/// Checks the founding places and counts those taken. The metadata lock is held.
fn founding(taken: &mut [usize; SIZES.len()]) -> Result<(), Broken> {
    let (start, end) = meta::founding();
    // SAFETY: under the lock; the links were written by `give`.
    unsafe {
        let pools = &*POOLS.0.get();
        let mut bytes = 0;
        for (i, founders) in pools.founders.iter().enumerate() {
            let size = SIZES.get(i).copied().unwrap_or(0);
            let (mut n, mut at) = (founders.taken as usize, founders.back);
            if let Some(sum) = taken.get_mut(i) {
                *sum += n;
            }
            while !at.is_null() {
                holds(
                    "founding: a place given back is one",
                    at.addr(),
                    at.addr() >= start && at.addr() + size <= end.addr() && n * size < CHUNK,
                )?;
                n += 1;
                at = at.add(LINK).cast::<*mut u8>().read();
            }
            bytes += n * size;
        }
        let cut = if pools.cut.is_null() {
            0
        } else {
            end.addr() - pools.cut.addr()
        };
        equal(
            "founding: what was cut off is taken or back",
            i64::MAX as usize,
            bytes,
            cut,
        )
    }
}

//! Sizes in waves, most of a wave freed at once and some of it two waves later, oldest or newest first in turn
//! (after sh6bench); with several threads they free each other's waves (after sh8bench).

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::heap::Block;
use crate::params::Params;
use crate::report::{Report, timed};
use crate::rng::Rng;
use crate::single;
use crate::table::Table;

type Wave = Table<Option<Block>>;

/// `threads=T low=A high=B blocks=N rounds=N`: a wave has `blocks` blocks, the smallest sizes most often.
pub fn run(params: &mut Params) -> Report {
    let threads = params.need("threads");
    let sizes = (params.need("low"), params.need("high"));
    let blocks = params.need("blocks") as usize;
    let rounds = params.need("rounds");
    // Where a thread leaves its wave and takes another's; alone it takes its own of the round before.
    let places = Table::new(threads as usize, |_| Mutex::new(None::<Wave>));
    let checksum = AtomicU64::new(0);
    let ((), seconds) = timed(|| {
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let (places, checksum) = (&places, &checksum);
                scope.spawn(move || {
                    let sum = waves(thread, sizes, blocks, rounds, places);
                    checksum.fetch_add(sum, Ordering::Relaxed);
                });
            }
        });
        for place in places.iter() {
            if let Some(mut wave) = exchange(place, None) {
                checksum.fetch_add(single::empty(&mut wave), Ordering::Relaxed);
            }
        }
    });
    Report::new(
        checksum.load(Ordering::Relaxed),
        threads * rounds * blocks as u64,
        seconds,
    )
}

fn waves(
    thread: u64,
    (low, high): (u64, u64),
    blocks: usize,
    rounds: u64,
    places: &[Mutex<Option<Wave>>],
) -> u64 {
    let mut rng = Rng::new(21, thread);
    let mut sum = 0u64;
    let mut wave = Table::new(blocks, |_| None::<Block>);
    for round in 0..rounds {
        // What is left here was kept two rounds ago.
        sum = sum.wrapping_add(single::empty(&mut wave));
        let octaves = u64::from((high / low).max(1).ilog2()) + 1;
        for (index, slot) in wave.iter_mut().enumerate() {
            // Sizes rise through the wave, an octave at a time; the lower half of it is the smallest octave.
            let octave = (index as u64 * 2 * octaves / blocks as u64).saturating_sub(octaves);
            let base = low << octave;
            let size = (base + rng.below(base)).min(high);
            *slot = Some(Block::new(size, rng.next() as u32));
        }
        let mut release = |(index, slot): (usize, &mut Option<Block>)| {
            if index % 4 != 3
                && let Some(block) = slot.take()
            {
                sum = sum.wrapping_add(block.release());
            }
        };
        if round % 2 == 0 {
            wave.iter_mut().enumerate().for_each(&mut release);
        } else {
            wave.iter_mut().enumerate().rev().for_each(&mut release);
        }
        let place = &places[((thread + round) % places.len() as u64) as usize];
        wave = exchange(place, Some(wave)).unwrap_or_else(|| Table::new(blocks, |_| None));
    }
    sum.wrapping_add(single::empty(&mut wave))
}

fn exchange(place: &Mutex<Option<Wave>>, wave: Option<Wave>) -> Option<Wave> {
    let mut held = place
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    std::mem::replace(&mut held, wave)
}

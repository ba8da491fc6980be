//! A logic minimiser (after espresso): sets of cubes, each a small array of bits, copied, tried, kept or dropped;
//! covers grow and shrink from pass to pass.

use crate::params::Params;
use crate::report::{Report, timed};
use crate::rng::{Rng, mix};

/// Two bits a variable, sixteen variables a word: 01 only false, 10 only true, 11 either.
type Cube = Box<[u32]>;

/// `variables=N cubes=N passes=N`.
pub fn run(params: &mut Params) -> Report {
    let variables = params.need("variables") as usize;
    let cubes = params.need("cubes") as usize;
    let passes = params.need("passes");
    let (sum, seconds) = timed(|| {
        let mut rng = Rng::new(25, 0);
        let off: Vec<Cube> = (0..24).map(|_| cube(&mut rng, variables, 3)).collect();
        let mut cover: Vec<Cube> = (0..cubes).map(|_| cube(&mut rng, variables, 1)).collect();
        cover.retain(|c| !off.iter().any(|o| meet(c, o)));
        let mut sum = 0u64;
        for _ in 0..passes {
            cover = expanded(cover, &off, variables, &mut rng);
            cover = irredundant(cover);
            sum = cover
                .iter()
                .flat_map(|c| c.iter())
                .fold(sum, |h, word| mix(h ^ u64::from(*word)));
            cover = split(cover, cubes, variables, &mut rng);
        }
        sum
    });
    Report::new(sum, passes * cubes as u64, seconds)
}

/// Each variable is free with the given share of 4, else true or false.
fn cube(rng: &mut Rng, variables: usize, free: u64) -> Cube {
    let mut words = vec![u32::MAX; variables.div_ceil(16)].into_boxed_slice();
    for variable in 0..variables {
        if rng.below(4) >= free {
            keep(&mut words, variable, rng.below(2) == 0);
        }
    }
    words
}

fn keep(cube: &mut Cube, variable: usize, value: bool) {
    let at = variable % 16 * 2;
    cube[variable / 16] &= !(3 << at);
    cube[variable / 16] |= if value { 2 } else { 1 } << at;
}

/// Do two cubes have a point in common? Not if some variable is left with neither value.
fn meet(a: &Cube, b: &Cube) -> bool {
    a.iter().zip(b).all(|(a, b)| {
        let both = a & b;
        (both | both >> 1) & 0x5555_5555 == 0x5555_5555
    })
}

fn contains(outer: &Cube, inner: &Cube) -> bool {
    outer.iter().zip(inner).all(|(o, i)| o & i == *i)
}

/// Frees as many variables of each cube as the off-set allows, each try on a copy.
fn expanded(cover: Vec<Cube>, off: &[Cube], variables: usize, rng: &mut Rng) -> Vec<Cube> {
    let mut larger = Vec::new();
    for mut cube in cover {
        let first = rng.below(variables as u64) as usize;
        for step in 0..variables {
            let variable = (first + step) % variables;
            let mut tried = cube.clone();
            tried[variable / 16] |= 3 << (variable % 16 * 2);
            if !off.iter().any(|o| meet(&tried, o)) {
                cube = tried;
            }
        }
        larger.push(cube);
    }
    larger
}

/// Drops what another cube of the cover contains.
fn irredundant(mut cover: Vec<Cube>) -> Vec<Cube> {
    cover.sort();
    cover.dedup();
    let mut kept: Vec<Cube> = Vec::new();
    for cube in cover.into_iter().rev() {
        if !kept.iter().rev().take(64).any(|k| contains(k, &cube)) {
            kept.push(cube);
        }
    }
    kept
}

/// Halves of random cubes until the cover has its old size again.
fn split(mut cover: Vec<Cube>, cubes: usize, variables: usize, rng: &mut Rng) -> Vec<Cube> {
    while cover.len() < cubes {
        let index = rng.below(cover.len() as u64) as usize;
        let mut half = cover[index].clone();
        for _ in 0..6 {
            let variable = rng.below(variables as u64) as usize;
            if half[variable / 16] >> (variable % 16 * 2) & 3 == 3 {
                keep(&mut half, variable, rng.below(2) == 0);
            }
        }
        cover.push(half);
    }
    cover
}

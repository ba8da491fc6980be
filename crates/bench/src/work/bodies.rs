//! Bodies that attract each other, approximated by an octree that is built anew for each step (after Barnes and
//! Hut): blocks of one size, allocated by one walk through space, read often, dropped by another walk.

use crate::params::Params;
use crate::report::{Report, timed};
use crate::rng::Rng;

type Point = [f64; 3];

struct Body {
    at: Point,
    speed: Point,
}

/// A cube of space: its content's mass and centre, and its eighths.
struct Cell {
    centre: Point,
    mass: f64,
    parts: [Option<Box<Cell>>; 8],
    alone: bool,
}

/// `bodies=N steps=N`.
pub fn run(params: &mut Params) -> Report {
    let count = params.need("bodies");
    let steps = params.need("steps");
    let (sum, seconds) = timed(|| {
        let mut rng = Rng::new(24, 0);
        let mut place = || rng.below(1 << 20) as f64 / f64::from(1 << 20);
        let mut bodies: Vec<Box<Body>> = (0..count)
            .map(|_| {
                Box::new(Body {
                    at: [place(), place(), place()],
                    speed: [0.0; 3],
                })
            })
            .collect();
        for _ in 0..steps {
            step(&mut bodies);
        }
        bodies.iter().fold(0u64, |sum, body| {
            sum.wrapping_mul(31)
                .wrapping_add((body.at[0] * 1e6) as i64 as u64)
        })
    });
    Report::new(sum, count * steps, seconds)
}

fn step(bodies: &mut [Box<Body>]) {
    let mut root: Option<Box<Cell>> = None;
    for body in bodies.iter() {
        insert(&mut root, body.at, 1.0, [0.5; 3], 0.5, 0);
    }
    let Some(root) = root else { return };
    for body in bodies.iter_mut() {
        let force = pull(&root, body.at, 1.0);
        let Body { at, speed } = &mut **body;
        for ((at, speed), force) in at.iter_mut().zip(speed).zip(force) {
            *speed += force * 1e-9;
            *at = (*at + *speed).clamp(0.0, 1.0);
        }
    }
}

/// Adds a mass to the cell around `middle` with half-width `half`.
fn insert(
    place: &mut Option<Box<Cell>>,
    at: Point,
    mass: f64,
    middle: Point,
    half: f64,
    depth: u32,
) {
    let Some(cell) = place else {
        *place = Some(Box::new(Cell {
            centre: at,
            mass,
            parts: [const { None }; 8],
            alone: true,
        }));
        return;
    };
    let (old, old_mass, was_alone) = (cell.centre, cell.mass, cell.alone);
    let whole = old_mass + mass;
    for axis in 0..3 {
        cell.centre[axis] = (old[axis] * old_mass + at[axis] * mass) / whole;
    }
    cell.mass = whole;
    cell.alone = false;
    // Bodies at one place would divide space for ever.
    if depth == 40 {
        return;
    }
    let mut down = |point: Point, mass: f64| {
        let mut index = 0;
        let mut centre = middle;
        for axis in 0..3 {
            let upper = point[axis] >= middle[axis];
            index |= usize::from(upper) << axis;
            centre[axis] += if upper { half / 2.0 } else { -half / 2.0 };
        }
        insert(
            &mut cell.parts[index],
            point,
            mass,
            centre,
            half / 2.0,
            depth + 1,
        );
    };
    if was_alone {
        down(old, old_mass);
    }
    down(at, mass);
}

/// The force of a cell of the given width: as a whole if it is far enough away.
fn pull(cell: &Cell, at: Point, width: f64) -> Point {
    let way: Point = std::array::from_fn(|axis| cell.centre[axis] - at[axis]);
    let square = way.iter().map(|d| d * d).sum::<f64>() + 1e-6;
    if cell.alone || width * width < square {
        let strength = cell.mass / (square * square.sqrt());
        return way.map(|d| d * strength);
    }
    let mut force = [0.0; 3];
    for part in cell.parts.iter().flatten() {
        let more = pull(part, at, width / 2.0);
        for axis in 0..3 {
            force[axis] += more[axis];
        }
    }
    force
}

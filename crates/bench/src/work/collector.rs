//! A garbage-collected interpreter's heap: small objects with growing arrays of fields and strings, found dead by
//! mark and sweep and then freed in the order in which they were made.

use crate::params::Params;
use crate::report::{Report, timed};
use crate::rng::{Rng, mix};

/// References reach this far, so that what is alive is bounded by the roots.
const DEEPEST: u8 = 3;

struct Object {
    fields: Vec<u32>,
    text: Option<String>,
    depth: u8,
    marked: bool,
}

struct Heap {
    objects: Vec<Option<Box<Object>>>,
    free: Vec<u32>,
    made: usize,
    limit: usize,
    freed: u64,
}

/// `roots=N ops=N`: each step makes an object that refers to some others and puts it in place of a root.
pub fn run(params: &mut Params) -> Report {
    let roots = params.need("roots") as usize;
    let ops = params.need("ops");
    let (sum, seconds) = timed(|| {
        let mut rng = Rng::new(22, 0);
        let mut heap = Heap {
            objects: Vec::new(),
            free: Vec::new(),
            made: 0,
            limit: roots,
            freed: 0,
        };
        let mut held: Vec<u32> = (0..roots)
            .map(|_| heap.make(&mut rng, Vec::new(), 0))
            .collect();
        for _ in 0..ops {
            let (fields, depth) = heap.some_fields(&mut rng, &held);
            if heap.made > heap.limit {
                // The fields are not reachable yet; they are roots of this collection.
                heap.collect(held.iter().chain(&fields));
            }
            let object = heap.make(&mut rng, fields, depth);
            held[rng.below(roots as u64) as usize] = object;
        }
        heap.sum(&held)
    });
    Report::new(sum, ops, seconds)
}

impl Heap {
    fn make(&mut self, rng: &mut Rng, fields: Vec<u32>, depth: u8) -> u32 {
        self.made += 1;
        let text = (rng.below(3) == 0).then(|| {
            let length = rng.octaves(4, 128) as usize;
            "s".repeat(length)
        });
        let object = Box::new(Object {
            fields,
            text,
            depth,
            marked: false,
        });
        match self.free.pop() {
            Some(index) => {
                self.objects[index as usize] = Some(object);
                index
            }
            None => {
                self.objects.push(Some(object));
                self.objects.len() as u32 - 1
            }
        }
    }

    /// Up to eight references to roots that are not deep yet, pushed one by one, as a table grows.
    fn some_fields(&self, rng: &mut Rng, held: &[u32]) -> (Vec<u32>, u8) {
        let mut fields = Vec::new();
        let mut depth = 0;
        for _ in 0..rng.below(9) {
            let index = held[rng.below(held.len() as u64) as usize];
            if let Some(object) = &self.objects[index as usize]
                && object.depth < DEEPEST
            {
                depth = depth.max(object.depth + 1);
                fields.push(index);
            }
        }
        (fields, depth)
    }

    fn collect<'a>(&mut self, roots: impl Iterator<Item = &'a u32>) {
        let mut open: Vec<u32> = roots.copied().collect();
        let mut alive = 0;
        while let Some(index) = open.pop() {
            if let Some(object) = &mut self.objects[index as usize]
                && !object.marked
            {
                object.marked = true;
                alive += 1;
                open.extend(&object.fields);
            }
        }
        for (index, place) in self.objects.iter_mut().enumerate() {
            match place {
                Some(object) if object.marked => object.marked = false,
                Some(object) => {
                    let text = object.text.as_ref().map_or(0, String::len) as u64;
                    self.freed = mix(self.freed ^ (object.fields.len() as u64) << 32 ^ text);
                    *place = None;
                    self.free.push(index as u32);
                }
                None => {}
            }
        }
        self.made = 0;
        self.limit = alive;
    }

    fn sum(&self, held: &[u32]) -> u64 {
        held.iter().fold(self.freed, |sum, index| {
            let object = self.objects[*index as usize].as_ref();
            mix(sum ^ object.map_or(0, |o| o.fields.len() as u64))
        })
    }
}

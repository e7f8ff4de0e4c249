//! Contenders that compute the same thing, timed side by side.

use crate::random::Random;
use pullback::Scalar;
use pullback::faer::Mat;
use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// How long a contender runs before it is another's turn: far above the resolution of the clock, and long
/// enough that what the one before left in the caches does not matter.
const TURN: Duration = Duration::from_micros(200);

/// A way to compute a loss and its gradients.
pub trait Contender<T> {
    /// Computes the loss and, where the contender keeps them, the gradients.
    fn run(&mut self) -> T;

    /// Computes the loss and the gradients and hands out a copy.
    fn results(&mut self) -> (T, Vec<Mat<T>>);
}

/// What time is read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clock {
    /// The time that the calling thread had a processor, where the system tells it: what runs in another process
    /// meanwhile does not count.
    Thread,
    /// The time that passes, for contenders that wait for other threads.
    Wall,
}

impl Clock {
    /// The time since some moment.
    fn now(self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        match self {
            #[cfg(target_os = "linux")]
            Clock::Thread => {
                let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
                Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
            }
            _ => START.elapsed(),
        }
    }
}

/// A contender, how often it runs in a turn, and its seconds a run in every round so far.
struct Lane<'a, T> {
    contender: Box<dyn Contender<T> + 'a>,
    runs: u32,
    seconds: Vec<f64>,
}

impl<T> Lane<'_, T> {
    fn turn(&mut self, clock: Clock) -> Duration {
        let start = clock.now();
        for _ in 0..self.runs {
            black_box(self.contender.run());
        }
        clock.now().saturating_sub(start)
    }
}

/// A race between contenders; the first is what the others are measured against.
pub struct Race<'a, T> {
    clock: Clock,
    lanes: Vec<Lane<'a, T>>,
    random: Random,
}

impl<'a, T: Scalar> Race<'a, T> {
    /// Checks that all contenders agree with the first, and lets each find out how many runs fill a turn.
    ///
    /// # Panics
    /// Two contenders disagree: there is nothing to compare.
    pub fn new(clock: Clock, contenders: Vec<Box<dyn Contender<T> + 'a>>) -> Self {
        Race::of_heats(clock, vec![contenders])
    }

    /// A race between contenders of several heats, those of one behind those of the other. In each heat all agree with its
    /// first.
    ///
    /// # Panics
    /// Two contenders of a heat disagree.
    pub fn of_heats(clock: Clock, heats: Vec<Vec<Box<dyn Contender<T> + 'a>>>) -> Self {
        let mut lanes = Vec::new();
        for mut heat in heats {
            if let Some((first, others)) = heat.split_first_mut() {
                let expected = first.results();
                for (i, other) in others.iter_mut().enumerate() {
                    let error = distance(&other.results(), &expected);
                    let place = i + 1;
                    assert!(
                        error <= tolerance::<T>(),
                        "contender {place} differs from the first by {error:e}"
                    );
                }
            }
            lanes.extend(heat.into_iter().map(|contender| Lane { contender, runs: 1, seconds: vec![] }));
        }
        for lane in &mut lanes {
            while lane.turn(clock) < TURN {
                lane.runs *= 2;
            }
        }
        Race { clock, lanes, random: Random::new(0) }
    }

    /// Runs some rounds, in each of which every contender has its turn, and returns the sum over the rounds of
    /// the time that the contender at position `watched` took for one run.
    pub fn run(&mut self, rounds: u64, watched: usize) -> Duration {
        let mut order: Vec<usize> = (0..self.lanes.len()).collect();
        let mut total = Duration::ZERO;
        for _ in 0..rounds {
            // Nobody always runs in the caches that the same other one left.
            self.random.shuffle(&mut order);
            for &i in &order {
                let lane = &mut self.lanes[i];
                let time = lane.turn(self.clock) / lane.runs;
                lane.seconds.push(time.as_secs_f64());
                if i == watched {
                    total += time;
                }
            }
        }
        total
    }

    /// The median time of the contender at a position, in seconds.
    pub fn seconds(&self, position: usize) -> f64 {
        median(self.lanes[position].seconds.clone())
    }

    /// The median ratio of the time of one contender to that of another in the same round, by their positions.
    pub fn ratio(&self, position: usize, to: usize) -> f64 {
        let [times, units] = [position, to].map(|position| &self.lanes[position].seconds);
        median(times.iter().zip(units).map(|(time, unit)| time / unit).collect())
    }

    /// Of every other contender, the median ratio of its time to that of the first in the same round.
    pub fn ratios(&self) -> impl Iterator<Item = f64> {
        (1..self.lanes.len()).map(|position| self.ratio(position, 0))
    }
}

fn median(mut sample: Vec<f64>) -> f64 {
    sample.sort_by(f64::total_cmp);
    let middle = sample.len() / 2;
    match sample.len() {
        0 => f64::NAN,
        n if n % 2 == 0 => 0.5 * (sample[middle - 1] + sample[middle]),
        _ => sample[middle],
    }
}

/// What rounding may explain, in a sum of large terms or behind a factorization too.
fn tolerance<T: Scalar>() -> f64 {
    (1e3 * T::EPSILON.to_f64()).max(1e-9)
}

/// The largest relative distance, in the Frobenius norm, between a loss or gradient and the expected one.
fn distance<T: Scalar>(found: &(T, Vec<Mat<T>>), expected: &(T, Vec<Mat<T>>)) -> f64 {
    let loss = (found.0 - expected.0).abs().to_f64() / expected.0.abs().to_f64();
    let gradients = found.1.iter().zip(&expected.1).map(|(found, expected)| {
        let error = (found - expected).norm_l2().to_f64() / expected.norm_l2().to_f64();
        // `f64::max` passes over NaN, a mistake must not.
        if error.is_nan() { f64::INFINITY } else { error }
    });
    assert_eq!(found.1.len(), expected.1.len(), "a gradient is missing");
    gradients.fold(loss, f64::max)
}

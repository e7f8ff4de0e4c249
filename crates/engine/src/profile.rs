//! Where the time of a run goes.

use crate::listing::{Align, Line, Listing, Table, count, percent};
use crate::{Error, Program, Scalar};
use faer::{Mat, MatRef};
use std::fmt;
use std::time::{Duration, Instant};

/// The time that every instruction of a program takes: see [`Program::profile`].
#[derive(Clone)]
pub struct Profile<T> {
    listing: Listing,
    times: Vec<Duration>,
    counted: Vec<u64>,
    results: Vec<Mat<T>>,
    runs: usize,
}

impl<T: Scalar> Program<T> {
    /// Runs the program once to warm up and then `runs` times (at least once) with a clock at every instruction.
    ///
    /// Reading the clock takes some 20 to 50 ns, which are part of each time. The results are those of [`run`](Program::run), bit by
    /// bit. Unlike that, this allocates.
    ///
    /// ```
    /// # use pullback_engine::Program;
    /// # use pullback_tape::Tape;
    /// # use faer::Mat;
    /// let tape = Tape::new();
    /// let a = tape.input("A", (200, 200));
    /// let mut program = Program::<f64>::compile(&[(a * a).tanh().sum()])?;
    /// let profile = program.profile(&[("A", Mat::zeros(200, 200).as_ref())], 5)?;
    /// assert_eq!(profile.flops(), program.flops());
    /// println!("{profile}");
    /// # Ok::<(), pullback_engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`run`](Program::run).
    pub fn profile(&mut self, inputs: &[(&str, MatRef<'_, T>)], runs: usize) -> Result<Profile<T>, Error> {
        let runs = runs.max(1);
        let (machine, memory) = self.prepare(false, inputs)?;
        machine.run(false, memory, None)?;
        let code = &machine.plan.code;
        let mut times = vec![Vec::with_capacity(runs); code.len()];
        for _ in 0..runs {
            // What is computed once is not part of a run.
            for (i, times) in times.iter_mut().enumerate().skip(machine.plan.constants) {
                let start = Instant::now();
                machine.run_one(i, memory)?;
                times.push(start.elapsed());
            }
        }
        let counted = code.iter().enumerate().map(|(i, instruction)| match i < machine.plan.constants {
            true => 0,
            false => machine.count(instruction, memory),
        });
        let counted = counted.collect();
        let results = self.results().iter().map(|matrix| matrix.to_owned()).collect();
        let times = times.into_iter().map(median).collect();
        Ok(Profile { listing: self.plan(), times, counted, results, runs })
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

impl<T> Profile<T> {
    /// The instructions.
    pub fn plan(&self) -> &Listing {
        &self.listing
    }

    /// Every instruction with the median of its times.
    pub fn iter(&self) -> impl Iterator<Item = (Line<'_>, Duration)> {
        self.listing.iter().zip(self.times.iter().copied())
    }

    /// The sum of these times.
    pub fn time(&self) -> Duration {
        self.times.iter().sum()
    }

    /// How often the program was run.
    pub fn runs(&self) -> usize {
        self.runs
    }

    /// Floating-point operations, counted from the matrices that the kernels received, by the model of
    /// [`Kind`](crate::Kind). [`Program::flops`] is the number predicted.
    pub fn flops(&self) -> u64 {
        self.counted.iter().copied().fold(0, u64::saturating_add)
    }

    /// The same for every instruction.
    pub fn flops_by_line(&self) -> &[u64] {
        &self.counted
    }

    /// The results.
    pub fn results(&self) -> &[Mat<T>] {
        &self.results
    }
}

impl<T> fmt::Debug for Profile<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

fn gigaflops(flops: u64, time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if flops > 0 && seconds > 0.0 => format!("{:.2}", flops as f64 / seconds / 1e9),
        _ => String::new(),
    }
}

/// With a unit in which it has few digits.
fn duration(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s < 1e-6 => format!("{:.0} ns", s * 1e9),
        s if s < 1e-3 => format!("{:.1} µs", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

impl<T> fmt::Display for Profile<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// A full bar is so long.
        const BAR: f64 = 10.0;
        let total = self.time().as_secs_f64();
        let longest = self.times.iter().max().map_or(0.0, Duration::as_secs_f64);
        let mut table = Table::new(&[
            ("value", Align::Left),
            ("kernel", Align::Left),
            ("shape", Align::Right),
            ("flops", Align::Right),
            ("time", Align::Right),
            ("share", Align::Right),
            ("", Align::Left),
            ("GFLOP/s", Align::Right),
            ("line", Align::Left),
        ]);
        for ((line, time), &flops) in self.iter().zip(&self.counted) {
            let seconds = time.as_secs_f64();
            let bar = if longest > 0.0 { (BAR * seconds / longest).round() as usize } else { 0 };
            let cells = vec![
                line.equation(),
                line.kernel_and_steps(),
                line.shape().to_string(),
                count(flops),
                duration(time),
                percent(seconds, total),
                "█".repeat(bar),
                gigaflops(flops, time),
                line.place(),
            ];
            table.row(cells, line.meaning().unwrap_or_default());
        }
        write!(f, "{table}")?;
        let rate = gigaflops(self.flops(), self.time());
        let rate = if rate.is_empty() { rate } else { format!(", {rate} GFLOP/s") };
        let runs =
            if self.runs == 1 { "1 run".to_owned() } else { format!("the medians of {} runs", self.runs) };
        write!(f, "{} in {}{rate}", duration(self.time()), runs)
    }
}

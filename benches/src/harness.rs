//! Races as benchmarks of Criterion's.
//!
//! Every cell is one benchmark, whose iteration is a round of the race between all contenders; the time that
//! Criterion reports is that of the contender in the second lane, Pullback, and the table at the end
//! compares them all.

// Criterion's closures have no way to return an error.
#![allow(clippy::expect_used)]

use crate::race::{Clock, Contender, Race};
use crate::summary::{self, Summary};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode};
use pullback::{Error, Scalar};
use std::time::Duration;

/// Pullback's position among the contenders.
const WATCHED: usize = 1;

/// Those who take part in a race; the first is what the others are measured against.
pub type Contenders<'a, T> = Vec<Box<dyn Contender<T> + 'a>>;

/// What a column of a table shows of a race, by the positions of contenders.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Column {
    /// The median time of a run.
    Time(usize),
    /// The median ratio of the first one's time to that of the other.
    Ratio(usize, usize),
}

/// Criterion, and the tables for the end.
pub struct Harness {
    criterion: Criterion,
    summaries: Vec<Summary>,
}

impl Harness {
    /// As the arguments say.
    pub fn from_args() -> Self {
        Harness {
            criterion: Criterion::default().without_plots().configure_from_args(),
            summaries: Vec::new(),
        }
    }

    /// A group of cells, in each of which rounds take so long in total unless a single one takes longer.
    pub fn group(&mut self, name: &str, duration: Duration, summary: Summary) -> Group<'_> {
        let mut group = self.criterion.benchmark_group(name);
        group
            .sampling_mode(SamplingMode::Flat)
            .sample_size(10)
            .nresamples(10_000)
            .significance_level(0.01)
            .warm_up_time(duration / 8)
            .measurement_time(duration);
        Group { group, clock: Clock::Thread, summary, summaries: &mut self.summaries }
    }

    /// Prints the tables.
    pub fn finish(self) {
        // As Criterion understands its arguments: what is run as a test measures nothing.
        let given = |flag: &str| std::env::args().any(|argument| argument == flag);
        if given("--bench") && !given("--test") {
            self.summaries.iter().for_each(|summary| println!("{summary}"));
        }
    }
}

/// A group of cells and its table.
pub struct Group<'h> {
    group: BenchmarkGroup<'h, WallTime>,
    clock: Clock,
    summary: Summary,
    summaries: &'h mut Vec<Summary>,
}

impl Group<'_> {
    /// Measures with another clock than that of the thread.
    pub fn clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// Races the contenders, which are not even called up if the filter leaves this cell out. Its row in the table
    /// begins with `cell`.
    ///
    /// # Panics
    /// There is an error in a contender, or two of them disagree.
    pub fn race<'a, T: Scalar>(
        &mut self,
        id: String,
        cell: Vec<String>,
        contenders: impl Fn() -> Result<Contenders<'a, T>, Error>,
    ) {
        let (clock, mut race) = (self.clock, None);
        self.group.bench_function(id, |bencher| {
            let race =
                race.get_or_insert_with(|| Race::new(clock, contenders().expect("the expression conforms")));
            bencher.iter_custom(|rounds| race.run(rounds, WATCHED));
        });
        if let Some(race) = race {
            self.summary.push(cell, race.seconds(0), race.ratios());
        }
    }

    /// [Races](Self::race) the contenders of several heats. Behind `cell`, the row consists of what `columns` say.
    ///
    /// # Panics
    /// There is an error in a contender, or two of a heat disagree.
    pub fn race_heats<'a, T: Scalar>(
        &mut self,
        id: String,
        mut cell: Vec<String>,
        columns: &[Column],
        heats: impl Fn() -> Result<Vec<Contenders<'a, T>>, Error>,
    ) {
        let (clock, mut race) = (self.clock, None);
        self.group.bench_function(id, |bencher| {
            let race =
                race.get_or_insert_with(|| Race::of_heats(clock, heats().expect("the expression conforms")));
            bencher.iter_custom(|rounds| race.run(rounds, WATCHED));
        });
        if let Some(race) = race {
            cell.extend(columns.iter().map(|column| match *column {
                Column::Time(position) => summary::time(race.seconds(position)),
                Column::Ratio(position, to) => summary::ratio(race.ratio(position, to)),
            }));
            self.summary.push_row(cell);
        }
    }

    /// Puts the table with the others; rows of a table with the same title continue it.
    pub fn finish(self) {
        self.group.finish();
        match self.summaries.last_mut() {
            Some(last) if last.continues_as(&self.summary) => last.append(self.summary),
            _ if self.summary.is_empty() => {}
            _ => self.summaries.push(self.summary),
        }
    }
}

//! A loop: records that grow step by step, each on its own way. As many as are in flight make a step together; as some leave,
//! others come in. What comes out for a record does not depend on which others were under way with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::attempt::Worker;
use super::context::Context;
use super::error::RunError;
use super::flow::{After, Answer, Ask, Flow, Given, Held, Open};
use super::node::{Flows, NodeDone, Told, flow};
use super::prepare::{Ends, Prepared};
use super::units::Tally;
use crate::artifact::FileSet;
use crate::cache::kept::{Artifact, RowsRef, UnitRef};
use crate::digest::Digest;
use crate::reporter::Event;
use crate::stage::StageError;
use crate::workflow::{Collect, LoopNode, Node, Origin};

/// Records in flight where the workflow does not say.
const IN_FLIGHT: usize = 64;
/// Why a record left: its step gave no state to go on with.
const NO_STATE: &str = "no-state";

/// A loop to be worked on.
pub(crate) struct LoopWork<'a> {
    pub(crate) context: &'a Context,
    pub(crate) node: &'a Node,
    pub(crate) inner: &'a LoopNode,
    pub(crate) body: &'a [Arc<Prepared>],
    pub(crate) ends: Ends,
}

/// A record under way.
struct Going {
    /// Its place in record order.
    order: usize,
    id: Arc<str>,
    step: u32,
    state: Held,
    /// What was collected of it so far, for each entry of `collect:`.
    collected: Vec<Vec<Held>>,
}

/// What one body stage gave for one record at this step.
#[derive(Clone)]
enum Gave {
    Rows(Vec<Held>),
    /// Nothing: the record, or what the stage needs of it, was set aside.
    Nothing,
    /// Nothing: what the stage needs from outside has no such record.
    Unmatched,
    Open(After),
}

/// What a body reads from outside: the same at every step.
enum Outside {
    Rows(BTreeMap<Arc<str>, RowsRef>, Arc<Open>),
    Files(Result<(Arc<FileSet>, Digest), After>),
}

/// Everything gathered on the way.
struct Gathered {
    tallies: Vec<Tally>,
    /// For each body stage and output, units with their record's place.
    listed: Vec<Vec<Vec<(usize, UnitRef)>>>,
    states: Vec<(usize, UnitRef)>,
    /// For each entry of `collect:`.
    collected: Vec<Vec<(usize, UnitRef)>>,
    open: Open,
    cut: u64,
    no_state: u64,
    left: u64,
}

impl LoopWork<'_> {
    pub(crate) fn work(&self, flows: &Flows) -> Result<NodeDone, RunError> {
        let began = Instant::now();
        let over = self.node.needs.iter().find(|need| need.slot == "over").expect("every loop runs over something");
        let Flow::Rows { known, open } = flow(flows, &over.from) else {
            return Err(self.wrong("the loop runs over files".into()));
        };
        let outside = self.outside(flows);
        let undecided = open.units();
        let mut gathered = Gathered {
            tallies: self.body.iter().map(|_| Tally { undecided, ..Tally::default() }).collect(),
            listed: self.body.iter().map(|stage| vec![Vec::new(); stage.outputs.len()]).collect(),
            states: Vec::new(),
            collected: vec![Vec::new(); self.inner.collect.len()],
            open: Open::clone(&open),
            cut: 0,
            no_state: 0,
            left: 0,
        };
        let in_flight = self.node.common.exec.in_flight.map_or(IN_FLIGHT, |count| count as usize);
        let mut coming = known.iter().enumerate();
        let mut going: Vec<Going> = Vec::new();
        loop {
            let room = in_flight - going.len();
            for (order, unit) in coming.by_ref().take(room) {
                going.extend(self.enter(order, unit, &mut gathered)?);
            }
            if going.is_empty() {
                if gathered.left as usize >= known.len() {
                    break;
                }
                continue;
            }
            if self.context.is_stopping() {
                return Err(RunError::Stage { stage: self.node.id.clone(), error: StageError::Cancelled });
            }
            going = self.step(going, &outside, &mut gathered)?;
            let (total, in_flight) = (known.len() as u64, going.len() as u64);
            let (stage, done) = (&self.node.id, gathered.left);
            self.context.tell(&Event::Records { stage, done, kept: 0, total, in_flight });
        }
        Ok(self.done(known.len() as u64, gathered, began))
    }

    fn outside(&self, flows: &Flows) -> BTreeMap<Origin, Outside> {
        let wires = self.body.iter().flat_map(|stage| &stage.inputs);
        let origins = wires.filter(|wire| matches!(wire.from, Origin::Outside { .. }));
        let read = |from: &Origin| match flow(flows, from) {
            Flow::Files(Err(after)) => Outside::Files(Err(after)),
            Flow::Files(Ok(files)) => Outside::Files(Ok((files.clone(), files.digest()))),
            Flow::Rows { known, open } => {
                Outside::Rows(known.iter().map(|unit| (unit.id.clone(), unit.rows.clone())).collect(), open)
            }
        };
        origins.map(|wire| (wire.from.clone(), read(&wire.from))).collect()
    }

    /// Lets a record in, unless it has ended already.
    fn enter(&self, order: usize, unit: &UnitRef, gathered: &mut Gathered) -> Result<Option<Going>, RunError> {
        let collected = vec![Vec::new(); self.inner.collect.len()];
        let state = Held::away(unit.rows.clone());
        let mut going = Going { order, id: unit.id.clone(), step: 0, state: state.clone(), collected };
        match self.ended(&going, &state)? {
            None => {
                gathered.no_state += 1;
                self.leave(going, gathered)?;
            }
            Some(true) => {
                // Nothing of it was set aside: it is in every output, if only without rows.
                let steps = self.inner.collect.iter().zip(&mut going.collected);
                steps.filter(|(collect, _)| **collect != Collect::Final).for_each(|(_, rows)| rows.push(Held::none()));
                self.finish(going, state, gathered)?;
            }
            Some(false) => return Ok(Some(going)),
        }
        Ok(None)
    }

    /// Takes every record one step further; returns those that go on.
    fn step(
        &self,
        going: Vec<Going>,
        outside: &BTreeMap<Origin, Outside>,
        gathered: &mut Gathered,
    ) -> Result<Vec<Going>, RunError> {
        for one in &going {
            let unit = UnitRef { id: one.id.clone(), step: one.step, rows: one.state.at.clone() };
            gathered.states.push((one.order, unit));
        }
        let mut gave: Vec<Vec<Gave>> = Vec::with_capacity(self.body.len());
        for number in 0..self.body.len() {
            let answers = self.ask(number, &going, &gave, outside, gathered)?;
            gave.push(answers);
        }
        let (carrier, output) = self.place(&self.inner.carry.0, &self.inner.carry.1);
        let mut on = Vec::with_capacity(going.len());
        for (index, mut one) in going.into_iter().enumerate() {
            for (collect, so_far) in self.inner.collect.iter().zip(&mut one.collected) {
                let Collect::Output(stage, output) = collect else { continue };
                let (stage, output) = self.place(stage, output);
                if let Gave::Rows(held) = &gave[stage][index] {
                    so_far.push(held[output].clone());
                }
            }
            match &gave[carrier][index] {
                Gave::Open(after) => {
                    gathered.open.leave(&one.id, after);
                    gathered.left += 1;
                    if one.step + 1 < self.inner.max_steps {
                        gathered.tallies.iter_mut().for_each(|tally| tally.undecided += 1);
                    }
                }
                Gave::Nothing | Gave::Unmatched => self.leave(one, gathered)?,
                Gave::Rows(held) => on.extend(self.go_on(one, held[output].clone(), gathered)?),
            }
        }
        Ok(on)
    }

    /// Asks one body stage about every record it can be asked about.
    fn ask(
        &self,
        number: usize,
        going: &[Going],
        gave: &[Vec<Gave>],
        outside: &BTreeMap<Origin, Outside>,
        gathered: &mut Gathered,
    ) -> Result<Vec<Gave>, RunError> {
        let (prepared, member) = (&self.body[number], &self.inner.body[number]);
        let mut answers = vec![Gave::Nothing; going.len()];
        let (mut asks, mut places) = (Vec::new(), Vec::new());
        for (index, one) in going.iter().enumerate() {
            let inputs = prepared.inputs.iter().map(|wire| self.given(&wire.from, one, index, gave, outside));
            match inputs.collect::<Result<Vec<Given>, Gave>>() {
                Ok(inputs) => {
                    asks.push(Ask { id: one.id.clone(), step: one.step, inputs });
                    places.push(index);
                }
                Err(missing) => {
                    let tally = &mut gathered.tallies[number];
                    tally.undecided += u64::from(matches!(missing, Gave::Open(_)));
                    tally.counts.unmatched += u64::from(matches!(missing, Gave::Unmatched) && one.step == 0);
                    answers[index] = if matches!(missing, Gave::Open(_)) { missing } else { Gave::Nothing };
                }
            }
        }
        let stage = member.stage().expect("no body node is a loop").stage.as_ref();
        let worker = Worker { context: self.context, stage, common: &member.common, prepared };
        let tally = &mut gathered.tallies[number];
        let answered = worker.answer(&asks, tally)?;
        self.context.tell(&Event::Step { stage: &prepared.id, counts: &tally.counts });
        for ((ask, index), answer) in asks.iter().zip(places).zip(answered) {
            answers[index] = match answer {
                Answer::Aside => Gave::Nothing,
                Answer::Open => Gave::Open(prepared.id.as_str().into()),
                Answer::Rows(held) => {
                    for (listed, held) in gathered.listed[number].iter_mut().zip(&held) {
                        let unit = UnitRef { id: ask.id.clone(), step: ask.step, rows: held.at.clone() };
                        listed.push((going[index].order, unit));
                    }
                    Gave::Rows(held)
                }
            };
        }
        Ok(answers)
    }

    fn given(
        &self,
        from: &Origin,
        one: &Going,
        index: usize,
        gave: &[Vec<Gave>],
        outside: &BTreeMap<Origin, Outside>,
    ) -> Result<Given, Gave> {
        match from {
            Origin::LoopState => Ok(Given::Rows(one.state.clone())),
            Origin::Sibling { node, output } => {
                let (stage, output) = self.place(node, output);
                match &gave[stage][index] {
                    Gave::Rows(held) => Ok(Given::Rows(held[output].clone())),
                    missing => Err(missing.clone()),
                }
            }
            Origin::Outside { .. } => match &outside[from] {
                Outside::Files(Ok((files, digest))) => Ok(Given::Files(files.clone(), *digest)),
                Outside::Files(Err(after)) => Err(Gave::Open(after.clone())),
                Outside::Rows(rows, open) => match (rows.get(&one.id), &open.after) {
                    (Some(rows), _) => Ok(Given::Rows(Held::away(rows.clone()))),
                    (None, Some(after)) if open.may_bring(&one.id) => Err(Gave::Open(after.clone())),
                    (None, _) => Err(Gave::Unmatched),
                },
            },
        }
    }

    fn go_on(&self, mut one: Going, state: Held, gathered: &mut Gathered) -> Result<Option<Going>, RunError> {
        match self.ended(&one, &state)? {
            None => {
                gathered.no_state += 1;
                self.leave(one, gathered)?;
            }
            Some(true) => self.finish(one, state, gathered)?,
            Some(false) if one.step + 1 >= self.inner.max_steps => {
                gathered.cut += 1;
                self.finish(one, state, gathered)?;
            }
            Some(false) => {
                one.step += 1;
                one.state = state;
                return Ok(Some(one));
            }
        }
        Ok(None)
    }

    /// Whether a state ends its record; `None` if there is no state.
    fn ended(&self, one: &Going, state: &Held) -> Result<Option<bool>, RunError> {
        let rows = state.rows(&self.context.store)?;
        match rows.as_slice() {
            [] => Ok(None),
            [row] => Ok(Some((self.ends)(row))),
            more => {
                let story = format!("record `{}` has {} states at step {}", one.id, more.len(), one.step);
                Err(self.wrong(story))
            }
        }
    }

    fn finish(&self, mut one: Going, state: Held, gathered: &mut Gathered) -> Result<(), RunError> {
        for (collect, so_far) in self.inner.collect.iter().zip(&mut one.collected) {
            if *collect == Collect::Final {
                so_far.push(state.clone());
            }
        }
        self.leave(one, gathered)
    }

    /// Lets a record go with what was collected of it.
    fn leave(&self, one: Going, gathered: &mut Gathered) -> Result<(), RunError> {
        gathered.left += 1;
        for (parts, collected) in one.collected.iter().zip(&mut gathered.collected) {
            if !parts.is_empty() {
                let rows = Held::joined(parts, &self.context.store)?;
                collected.push((one.order, UnitRef { id: one.id.clone(), step: 0, rows }));
            }
        }
        Ok(())
    }

    fn place(&self, stage: &str, output: &str) -> (usize, usize) {
        let number = self.inner.body.iter().position(|member| member.id == stage);
        let number = number.expect("the graph was checked: the body has this stage");
        let output = self.inner.body[number].outputs.iter().position(|port| port.name == output);
        (number, output.expect("the graph was checked: the stage has this output"))
    }

    fn done(&self, records: u64, gathered: Gathered, began: Instant) -> NodeDone {
        let mut tally = Tally::default();
        tally.worked_since(began);
        tally.counts.units = records;
        tally.counts.cut = gathered.cut;
        if gathered.no_state > 0 {
            tally.counts.dropped.insert(NO_STATE.into(), gathered.no_state);
        }
        tally.undecided = gathered.open.units();
        let mut told = Vec::new();
        for (number, (mut body, listed)) in gathered.tallies.into_iter().zip(gathered.listed).enumerate() {
            // A record is set aside once, whatever step it had come to.
            body.records = records;
            tally.counts.hits += body.counts.hits;
            tally.counts.computed += body.counts.computed;
            let (prepared, member) = (&self.body[number], &self.inner.body[number]);
            let outputs = member.outputs.iter().cloned().zip(listed.into_iter().map(|units| Some(ordered(units))));
            told.push(Told {
                id: prepared.id.clone(),
                kind: member.stage().expect("no body node is a loop").kind.to_owned(),
                fingerprint: Some(prepared.fingerprint.digest),
                outputs: outputs.collect(),
                tally: body,
                states: None,
            });
        }
        let open = Arc::new(gathered.open);
        let collected: Vec<Artifact> = gathered.collected.into_iter().map(ordered).collect();
        let flows = collected.iter().map(|artifact| match artifact {
            Artifact::Rows(known) => Flow::Rows { known: known.clone(), open: open.clone() },
            Artifact::Files(_) => unreachable!("loops collect rows"),
        });
        let flows = flows.collect();
        let outputs = self.node.outputs.iter().cloned().zip(collected.into_iter().map(Some)).collect();
        let states = Some(ordered(gathered.states));
        let id = self.node.id.clone();
        told.insert(0, Told { id, kind: "loop".into(), fingerprint: None, outputs, tally, states });
        NodeDone { flows, told }
    }

    fn wrong(&self, story: String) -> RunError {
        RunError::Stage { stage: self.node.id.clone(), error: StageError::Refused(story) }
    }
}

/// Puts units in (record, step) order.
fn ordered(mut units: Vec<(usize, UnitRef)>) -> Artifact {
    units.sort_by_key(|(order, unit)| (*order, unit.step));
    Artifact::Rows(Arc::new(units.into_iter().map(|(_, unit)| unit).collect()))
}

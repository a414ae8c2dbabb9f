//! `espalier-torch search`: which lanes go, what stands in for them, and the weights where the search trained them.

use import::{
    Model, Tensor as Stored,
    lanes::{Budget, Fill as PlanFill, Kept, Plan, Replacement, TensorShape, score},
};
use job::{Fill, Job, MethodName};
use serde_json::json;
use tch::{Tensor, no_grad};

use crate::{
    CsamError,
    events::Events,
    methods::{Choice, SearchContext, named},
    network::{Network, Pass, Taps},
    output::write_plan,
    session::Stop,
    setup::{Reading, Setup},
    train::{
        Clock, Rehearsal,
        batch_sizes::BatchSizes,
        feed::{Recipe, prepare},
        losses::Units,
        statistics::Normalising,
        teacher::units,
        team::{Parallelism, Replica},
    },
};

/// Images per batch when means are taken, where so many fit.
const BATCH: usize = 128;

/// Searches, and writes the plan to the job's folder.
///
/// # Errors
/// Something cannot be opened, the budget cannot be met, the network cannot be trained, or the user interrupted.
pub fn search(job: &Job, mut events: Events, stop: Stop) -> Result<(), CsamError> {
    let budgets = budgets(job)?;
    let setup = Setup::of(job, pictures(job), &mut events)?;
    let network = setup.trainable(job)?;
    let mut clock = setup.clock(job, "search", events, stop)?;
    let method = named(job.search.method());
    let dense = Dense::of(job, &setup, &network)?;
    let normalising = dense.normalising(&mut clock)?;
    let choice = dense.with_context(normalising, |context| method.choose(context, &mut clock))?;
    let origin =
        format!("{}, {:?} widths, seed {}", job.search.method(), job.search.allocation, job.seed).to_lowercase();
    let mut plan = Plan::from_kept(&setup.subject.model.graph, &setup.lanes, &choice.kept, origin);
    // A search that trained weights did so with nothing in place of what it removed.
    if job.search.fill == Fill::Mean && !choice.trained {
        plan.fills = fills(&setup, &network, &choice.kept, job)?;
    }
    let tensors = replaced(&network, &choice, &mut plan)?;
    write_plan(&job.out, &plan, &tensors)?;
    finish(job, &setup, &budgets, &choice, &mut clock);
    Ok(())
}

/// One step of the search, to see that it can be done and how long it takes; none where the method takes no steps.
///
/// # Errors
/// As [`search`].
pub(crate) fn rehearse(job: &Job, setup: &Setup, clock: &mut Clock) -> Result<Option<Rehearsal>, CsamError> {
    let network = setup.copy()?;
    // A step takes as long by either statistics.
    Dense::of(job, setup, &network)?
        .with_context(Normalising::ByBatch, |context| named(job.search.method()).rehearse(context, clock))
}

/// The dense network, ready to be searched.
struct Dense<'a> {
    job: &'a Job,
    setup: &'a Setup,
    network: &'a Network,
    batch_sizes: BatchSizes,
    units: Units,
}

impl<'a> Dense<'a> {
    fn of(job: &'a Job, setup: &'a Setup, network: &'a Network) -> Result<Self, CsamError> {
        setup.check_answers(network)?;
        let batch_sizes = setup.batch_sizes(job, network)?;
        let units = units(network, &setup.train, batch_sizes.inference, setup.device)?;
        Ok(Self { job, setup, network, batch_sizes, units })
    }

    /// What normalisations do in the steps of a method that takes steps.
    fn normalising(&self, clock: &mut Clock) -> Result<Normalising, CsamError> {
        let Self { job, setup, network, batch_sizes, units } = self;
        if job.search.method() != MethodName::Csam {
            return Ok(Normalising::AsStored);
        }
        let images = batch_sizes.search / Parallelism::of(job.threads, batch_sizes.search, setup.device).parts;
        setup.normalising(job, network, images, units, &job.search_task(), &mut clock.events)
    }

    /// Does something with all that a method is given.
    fn with_context<T>(
        &self,
        normalising: Normalising,
        work: impl FnOnce(&SearchContext<'_>) -> Result<T, CsamError>,
    ) -> Result<T, CsamError> {
        let Self { job, setup, network, batch_sizes, ref units } = *self;
        let teach = || setup.teacher(&setup.subject, job.search_task().beta, units.clone());
        work(&SearchContext {
            batch_sizes,
            normalising,
            network,
            lanes: &setup.lanes,
            ranking: &job.search.ranking(&setup.subject.model.graph, &setup.lanes)?,
            norms: &score::of(&setup.subject.model.graph, &setup.lanes, &job.search.magnitude)?,
            budgets: &budgets(job)?,
            teacher: &teach()?,
            replica: &|| Ok(Replica { network: setup.copy()?, teacher: Some(teach()?) }),
            samples: &setup.train,
            laws: &setup.laws,
            search: &job.search,
            task: job.search_task(),
            tune: &job.tune,
            seed: job.seed,
            resume: job.resume,
            threads: job.threads,
            device: setup.device,
        })
    }
}

fn budgets(job: &Job) -> Result<Vec<Budget>, CsamError> {
    Ok(job.budget.iter().map(|text| text.parse()).collect::<Result<_, _>>()?)
}

/// Pictures that the method can use; one that trains uses all there are.
fn pictures(job: &Job) -> Reading {
    match job.search.method() {
        MethodName::Csam => Reading::All,
        MethodName::Magnitude | MethodName::Taylor | MethodName::Random => {
            Reading::Some(job.search.batches.saturating_mul(BATCH))
        }
    }
}

/// The tensors that the search trained, which have the dense shape.
fn replaced(network: &Network, choice: &Choice, plan: &mut Plan) -> Result<Vec<(String, Stored)>, CsamError> {
    if !choice.trained {
        return Ok(Vec::new());
    }
    let tensors = network.write_back()?;
    let replacement = |name: &String| Replacement { name: name.clone(), shape: TensorShape::Dense };
    plan.tensors = tensors.iter().map(|(name, _)| replacement(name)).collect();
    Ok(tensors)
}

/// The mean input of every reader at its removed indices, over training pictures in the dense network.
fn fills(setup: &Setup, network: &Network, kept: &Kept, job: &Job) -> Result<Vec<PlanFill>, CsamError> {
    let mut taps = Taps::new();
    let images = BATCH.min(setup.batch_sizes(job, network)?.inference);
    let recipe = Recipe::plain(job.seed, images);
    let steps = job.search.batches.min(setup.train.len().div_ceil(images)) as u64;
    for step in 0..steps {
        let batch = prepare(&setup.train, &recipe, step, setup.device)?;
        no_grad(|| network.answers(&batch.images, &mut Pass { taps: Some(&mut taps), ..Pass::default() }))?;
    }
    let readers = setup.lanes.readers.iter().zip(taps.means());
    let fills = readers.filter_map(|(reader, mean)| Some((reader, mean.as_ref()?)));
    let fills = fills.map(|(reader, mean)| fill(&setup.subject.model, reader, mean, kept));
    Ok(fills.collect::<Result<Vec<_>, CsamError>>()?.into_iter().filter(|fill| !fill.means.is_empty()).collect())
}

fn fill(model: &Model, reader: &import::lanes::Reader, mean: &Tensor, kept: &Kept) -> Result<PlanFill, CsamError> {
    let values: Vec<f32> = Vec::try_from(mean.f_to_kind(tch::Kind::Float)?)?;
    let node = model.graph.node(reader.node);
    let weight = node.input(reader.weight).map(|value| model.graph.value(value).name.clone());
    let removed = reader
        .slots
        .iter()
        .zip(values)
        .enumerate()
        .filter_map(|(index, (slot, mean))| slot.filter(|lane| !kept.keeps(*lane)).map(|_| (index, mean)));
    let means = removed.collect();
    Ok(PlanFill { node: node.index, tensor: weight.unwrap_or_default(), axis: reader.weight_axis, means })
}

fn finish(job: &Job, setup: &Setup, budgets: &[Budget], choice: &Choice, clock: &mut Clock) {
    let lanes = &setup.lanes;
    let (kept, dense) = (choice.kept.as_numbers(), vec![1.0; lanes.lanes.len()]);
    let share = |budget: &Budget| budget.spent(lanes, &kept) / budget.spent(lanes, &dense);
    let met: Vec<_> =
        budgets.iter().map(|budget| json!({ "budget": budget.to_string(), "share": share(budget) })).collect();
    clock.events.done(json!({
        "command": "search",
        "method": job.search.method(),
        "copies": choice.copies,
        "lanes": lanes.lanes.len(),
        "kept": choice.kept.count(),
        "macs": lanes.cost.macs(&kept) / lanes.cost.macs(&dense),
        "params": lanes.cost.params(&kept) / lanes.cost.params(&dense),
        "budgets": met,
        "trained": choice.trained,
        "learned": setup.subject.learned,
        "left": setup.subject.left.as_ref().map(ToString::to_string),
        "out": job.out,
    }));
}

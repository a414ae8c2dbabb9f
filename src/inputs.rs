//! What each input of a model is fed: as `--input` says, else what the data and the input's shape suggest.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Result, anyhow};
use images::data::{self, Kind, RANDOM};
use images::intake::{Input, Intake, Numbers, Origin};
use images::preprocess::{InputSettings, Layout, Preprocess};
use images::values::Element;
use import::graph::{Graph, ValueId};
use import::{DType, Model, channel_axis};

use crate::settings::Settings;

/// What somebody says that an input is fed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Feed {
    /// The sample's picture.
    Picture,
    /// The sample's array, by another name than the input's where one is given.
    Array(Option<String>),
    /// Random numbers.
    Random(Numbers),
}

impl FromStr for Feed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "picture" => Ok(Self::Picture),
            None if text == "array" => Ok(Self::Array(None)),
            Some(("array", name)) if !name.is_empty() => Ok(Self::Array(Some(name.to_owned()))),
            _ => text.parse().map(Self::Random).map_err(|error| format!("{error}, or array, array:NAME or picture")),
        }
    }
}

/// `NAME=HOW`, or `HOW` for the only input: the name is empty then.
pub(crate) fn named<T: FromStr<Err = String>>(text: &str) -> Result<(String, T), String> {
    let (name, how) = text.rsplit_once('=').unwrap_or(("", text));
    Ok((name.to_owned(), how.parse()?))
}

/// Sizes of all axes, as in `1x3x224x224`.
pub(crate) struct Sizes(pub(crate) Vec<i64>);

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = |size: &str| size.trim().parse::<i64>().ok().filter(|size| *size > 0);
        let sizes = text.split(['x', '×', ',']).map(size).collect::<Option<Vec<_>>>();
        sizes.map(Self).ok_or_else(|| format!("`{text}` is no shape; write NAME=1x3x224x224"))
    }
}

/// What every input of a model is fed.
///
/// # Errors
/// When an input is fed nothing, or something that it cannot take.
pub(crate) fn intake(settings: &Settings, model: &Model) -> Result<Intake> {
    let graph = &model.graph;
    let mut said = settings.feeds()?;
    if let Some(only) = said.remove("") {
        let name = only_input(graph)?;
        said.insert(name, only);
    }
    if let Some(unknown) = said.keys().find(|name| !graph.inputs.iter().any(|&input| graph.value(input).name == **name))
    {
        return Err(anyhow!("the model has no input `{unknown}`; its inputs are {}", names(graph)));
    }
    let path = settings.data()?;
    let task = Task { graph, settings, said: &said, data: Data::at(path, graph, &settings.input, &said)? };
    let inputs = graph.inputs.iter().map(|&input| task.input(input)).collect::<Result<Vec<_>>>()?;
    if inputs.is_empty() {
        return Err(anyhow!("the model reads nothing: it has no input to feed"));
    }
    let intake = Intake(inputs);
    if intake.0.iter().filter(|input| matches!(input.from, Origin::Picture(_))).count() > 1 {
        return Err(anyhow!(
            "pictures feed one input, and several would take them; say what the others are fed with --input NAME=normal"
        ));
    }
    if intake.picture().is_some() && intake.arrays().next().is_some() {
        return Err(anyhow!(
            "one input is fed pictures and another arrays, and a data set holds either; feed one of them with --input NAME=normal"
        ));
    }
    measured(path, intake)
}

/// Sizes that are still open are those of the data's first sample.
fn measured(path: &Path, mut intake: Intake) -> Result<Intake> {
    if !intake.0.iter().any(|input| input.sample.contains(&0)) {
        return Ok(intake);
    }
    let dataset = data::open_for(path, &intake)?;
    let set = dataset
        .splits
        .iter()
        .find(|set| !set.is_empty())
        .ok_or_else(|| anyhow!("`{}` holds no samples", path.display()))?;
    for input in &mut intake.0 {
        let Origin::Array(key) = &input.from else { continue };
        let found = set.array(0, key)?.shape;
        input.sample.iter_mut().zip(found).filter(|(size, _)| **size == 0).for_each(|(size, found)| *size = found);
    }
    Ok(intake)
}

fn names(graph: &Graph) -> String {
    let names = graph.inputs.iter().map(|&input| format!("`{}`", graph.value(input).name));
    names.collect::<Vec<_>>().join(", ")
}

fn only_input(graph: &Graph) -> Result<String> {
    match graph.inputs[..] {
        [input] => Ok(graph.value(input).name.clone()),
        _ => Err(anyhow!(
            "the model has several inputs ({}); name the one that is meant, as in --input NAME=normal",
            names(graph)
        )),
    }
}

/// What the data holds for inputs of which nothing is said.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Data {
    Pictures,
    Arrays,
    Nothing,
}

impl Data {
    /// Arrays that could be pictures are, where the model has one input and that takes pictures.
    fn at(path: &Path, graph: &Graph, settings: &InputSettings, said: &BTreeMap<String, Feed>) -> Result<Self> {
        if data::is_random(path) {
            return Ok(Self::Nothing);
        }
        let takes_pictures = || matches!(graph.inputs[..], [input] if preprocess(graph, input, settings).is_ok());
        let arrays_said = said.values().any(|feed| matches!(feed, Feed::Array(_)));
        Ok(match data::arrays_at(path)? {
            None => Self::Pictures,
            Some(Kind::Npy) if !arrays_said && takes_pictures() => Self::Pictures,
            Some(_) => Self::Arrays,
        })
    }
}

/// One model's inputs, and what there is to feed them.
struct Task<'a> {
    graph: &'a Graph,
    settings: &'a Settings,
    said: &'a BTreeMap<String, Feed>,
    data: Data,
}

impl Task<'_> {
    fn input(&self, input: ValueId) -> Result<Input> {
        let value = self.graph.value(input);
        let name = value.name.clone();
        let from = match (self.said.get(&name), self.data) {
            (Some(Feed::Random(law)), _) => Origin::Random { law: *law, seed: self.settings.seed() },
            (Some(Feed::Array(key)), _) => Origin::Array(key.clone().unwrap_or_else(|| name.clone())),
            (Some(Feed::Picture), _) => Origin::Picture(preprocess(self.graph, input, &self.settings.input)?),
            (None, Data::Arrays) => Origin::Array(name.clone()),
            (None, Data::Pictures) => Origin::Picture(preprocess(self.graph, input, &self.settings.input).map_err(|error| {
                anyhow!("the input `{name}` is fed nothing: {error}; say what it is fed with --input {name}=array (of an .npz file), {name}=normal, {name}=uniform:LOW:HIGH or {name}=ints:LOW:HIGH")
            })?),
            (None, Data::Nothing) => {
                return Err(anyhow!(
                    "the input `{name}` is fed nothing; say what with --input {name}=normal, {name}=uniform:LOW:HIGH or {name}=ints:LOW:HIGH, or give --data"
                ));
            }
        };
        let axis = self.graph.batch_axis(input);
        if let Origin::Picture(preprocess) = from {
            let sample = preprocess.input_shape(1)[1..].to_vec();
            return Ok(Input { name, sample, axis, element: Element::F32, from: Origin::Picture(preprocess) });
        }
        let element = element(value.dtype)
            .ok_or_else(|| anyhow!("the input `{name}` holds something else than numbers, which cannot be fed"))?;
        Ok(Input { sample: self.sample(input, axis, &from)?, axis, element, from, name })
    }

    /// Sizes of one sample; 0 for those that only the data tells.
    fn sample(&self, input: ValueId, axis: Option<usize>, from: &Origin) -> Result<Vec<usize>> {
        let name = &self.graph.value(input).name;
        let shape = declared(self.graph, input)?;
        let sizes = shape.iter().enumerate().filter(|(place, _)| Some(*place) != axis).map(|(_, size)| *size);
        let size = |size: Option<usize>| match (size, from) {
            (Some(size), _) => Ok(size),
            (None, Origin::Array(_)) => Ok(0),
            (None, _) => Err(anyhow!(
                "the model leaves sizes of its input `{name}` open ({}); give them with --shape {name}=1x…",
                shape
                    .iter()
                    .map(|size| size.map_or("?".to_owned(), |size| size.to_string()))
                    .collect::<Vec<_>>()
                    .join("x")
            )),
        };
        sizes.map(size).collect()
    }
}

/// How pictures become an input. What the model does with it tells its layout.
fn preprocess(graph: &Graph, input: ValueId, settings: &InputSettings) -> Result<Preprocess> {
    let layout = match channel_axis(graph, input) {
        Some(1) => Some(Layout::Nchw),
        Some(3) => Some(Layout::Nhwc),
        _ => None,
    };
    let settings = InputSettings { layout: settings.layout.or(layout), ..settings.clone() };
    Ok(Preprocess::resolve(&declared(graph, input)?, &settings)?)
}

/// The declared sizes of an input; `None` for an axis of any size.
fn declared(graph: &Graph, input: ValueId) -> Result<Vec<Option<usize>>> {
    let value = graph.value(input);
    let shape = value.shape.as_ref().ok_or_else(|| {
        let name = &value.name;
        anyhow!("the model does not say how many axes its input `{name}` has; give its shape with --shape {name}=1x…")
    })?;
    Ok(shape.iter().map(|size| size.extent()).collect())
}

/// The type of an input's elements; single precision where the file does not say.
fn element(dtype: Option<DType>) -> Option<Element> {
    Some(match dtype {
        None | Some(DType::F32) => Element::F32,
        Some(DType::F16) => Element::F16,
        Some(DType::BF16) => Element::Bf16,
        Some(DType::F64) => Element::F64,
        Some(DType::I8) => Element::I8,
        Some(DType::I16) => Element::I16,
        Some(DType::I32) => Element::I32,
        Some(DType::I64) => Element::I64,
        Some(DType::U8) => Element::U8,
        Some(DType::U16) => Element::U16,
        Some(DType::U32) => Element::U32,
        Some(DType::U64) => Element::U64,
        Some(DType::Bool) => Element::Bool,
        Some(_) => return None,
    })
}

/// Sides that a model leaves open are probed at this size.
pub(crate) const OPEN_SIDE: usize = 64;

/// Seeded samples for a model of which nothing is known but its inputs; `open` for sizes that it leaves open.
///
/// # Errors
/// When an input does not say how many axes it has, or holds no numbers.
pub(crate) fn drawn(graph: &Graph, open: usize, seed: u64) -> Result<Intake> {
    let input = |&input: &ValueId| {
        let value = graph.value(input);
        let axis = graph.batch_axis(input);
        let element = element(value.dtype).ok_or_else(|| anyhow!("the input `{}` holds no numbers", value.name))?;
        let law = if element.is_float() {
            Numbers::Normal { mean: 0.0, deviation: 1.0 }
        } else {
            Numbers::Ints { low: 0, high: 1 }
        };
        let sizes = declared(graph, input)?.into_iter().enumerate().filter(|(place, _)| Some(*place) != axis);
        let sample = sizes.map(|(_, size)| size.unwrap_or(open)).collect();
        Ok(Input { name: value.name.clone(), sample, axis, element, from: Origin::Random { law, seed } })
    };
    graph.inputs.iter().map(input).collect::<Result<_>>().map(Intake)
}

/// The word for samples that nobody stores.
pub(crate) fn nothing_stored() -> &'static Path {
    Path::new(RANDOM)
}

/// Settings that feed every input: those of which nothing is said are drawn as [`drawn`] does.
pub(crate) fn filled(settings: &Settings, graph: &Graph) -> Settings {
    let said = settings.feed.clone().unwrap_or_default();
    let is_said = |name: &str| said.iter().any(|text| text.rsplit_once('=').map_or("", |(name, _)| name) == name);
    let mut feed = said.clone();
    if graph.inputs.len() > 1 {
        for value in graph.inputs.iter().map(|&input| graph.value(input)).filter(|value| !is_said(&value.name)) {
            let law = if value.dtype.is_none_or(DType::is_float) { "normal" } else { "ints:0:1" };
            feed.push(format!("{}={law}", value.name));
        }
    }
    Settings { feed: Some(feed), ..settings.clone() }
}

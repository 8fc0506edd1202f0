//! One small trait over two engines that run ONNX files: ONNX Runtime, loaded from a library found on this computer, and
//! tract, which is part of the program. What they are asked is always one picture, so that its answer cannot depend on its
//! company: matrix kernels may round differently for other batch sizes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use tract_onnx::prelude::{
    DatumType, Framework, InferenceFact, InferenceModelExt, IntoRunnable, IntoTValue, TypedRunnableModel, tvec,
};

use crate::error::DetectError;
use crate::onnx::Model;

/// A dense tensor, last axis fastest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor<T> {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<T>,
}

/// What a detector's inputs can hold.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Input {
    Float(Tensor<f32>),
    Int(Tensor<i64>),
}

impl Input {
    fn shape(&self) -> &[usize] {
        match self {
            Self::Float(tensor) => &tensor.shape,
            Self::Int(tensor) => &tensor.shape,
        }
    }
}

/// An open ONNX file.
pub(crate) trait Session: Send + Sync {
    /// Runs the model on its inputs, in the file's order, and returns its outputs, all floats, in the file's order.
    fn run(&self, inputs: Vec<Input>) -> Result<Vec<Tensor<f32>>, DetectError>;
}

/// Opens a model with ONNX Runtime on `threads` threads; 0 means all cores. The number does not change results.
pub(crate) fn open_onnx_runtime(
    environment: &ort::environment::Environment,
    model: Arc<Model>,
    threads: usize,
) -> Result<Box<dyn Session>, DetectError> {
    let open = || -> Result<ort::session::Session, ort::Error> {
        let builder = ort::session::Session::builder(environment)?
            .with_intra_threads(threads)?
            .with_intra_op_spinning(false)?
            .with_deterministic_compute(true)?
            .with_log_level(ort::logging::LogLevel::Fatal)?;
        { builder }.commit_from_memory(&model.bytes)
    };
    let session = open().map_err(|error| failed("ONNX Runtime", "open", &model, error.message()))?;
    Ok(Box::new(OnnxRuntime { model, session: Mutex::new(session) }))
}

struct OnnxRuntime {
    model: Arc<Model>,
    session: Mutex<ort::session::Session>,
}

impl Session for OnnxRuntime {
    fn run(&self, inputs: Vec<Input>) -> Result<Vec<Tensor<f32>>, DetectError> {
        let run = || -> Result<Vec<Tensor<f32>>, ort::Error> {
            let mut named = Vec::with_capacity(inputs.len());
            for (port, input) in self.model.inputs.iter().zip(inputs) {
                let value = match input {
                    Input::Float(tensor) => ort::value::Tensor::from_array((tensor.shape, tensor.values))?.into_dyn(),
                    Input::Int(tensor) => ort::value::Tensor::from_array((tensor.shape, tensor.values))?.into_dyn(),
                };
                named.push((port.name.as_str(), value));
            }
            let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
            let outputs = session.run(named)?;
            let tensor = |port: &crate::onnx::Port| {
                let (shape, values) = outputs[port.name.as_str()].try_extract_tensor::<f32>()?;
                let shape = shape.iter().map(|dim| usize::try_from(*dim).unwrap_or(0)).collect();
                Ok(Tensor { shape, values: values.to_vec() })
            };
            self.model.outputs.iter().map(tensor).collect()
        };
        run().map_err(|error| failed("ONNX Runtime", "run", &self.model, error.message()))
    }
}

/// Opens a model with tract. Plans are made for exact shapes, so the work of opening is done at the first picture of a size.
pub(crate) fn open_tract(model: Arc<Model>) -> Box<dyn Session> {
    Box::new(Tract { model, plans: Mutex::new(Vec::new()) })
}

/// Plans kept at once: one for models with a fixed input, a few for those that take pictures of any size.
const PLANS_MAX: usize = 4;

type Shapes = Vec<Vec<usize>>;

struct Tract {
    model: Arc<Model>,
    plans: Mutex<Vec<(Shapes, Arc<TypedRunnableModel>)>>,
}

impl Tract {
    /// Returns the plan for these input shapes, making it if need be. Other threads wait meanwhile and then share it.
    fn plan(&self, inputs: &[Input]) -> Result<Arc<TypedRunnableModel>, String> {
        let shapes: Shapes = inputs.iter().map(|input| input.shape().to_vec()).collect();
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, plan)) = plans.iter().find(|(known, _)| *known == shapes) {
            return Ok(Arc::clone(plan));
        }
        let plan = self.make_plan(inputs)?;
        if plans.len() == PLANS_MAX {
            plans.remove(0);
        }
        plans.push((shapes, Arc::clone(&plan)));
        Ok(plan)
    }

    fn make_plan(&self, inputs: &[Input]) -> Result<Arc<TypedRunnableModel>, String> {
        let make = || -> tract_onnx::prelude::TractResult<Arc<TypedRunnableModel>> {
            // Shapes written into a file may name a free batch; those of our inputs are exact and suffice.
            let reader = tract_onnx::onnx().with_ignore_output_shapes(true);
            let mut model = reader.model_for_read(&mut self.model.bytes.as_slice())?;
            for (index, input) in inputs.iter().enumerate() {
                let element = match input {
                    Input::Float(_) => DatumType::F32,
                    Input::Int(_) => DatumType::I64,
                };
                model.set_input_fact(index, InferenceFact::dt_shape(element, input.shape()))?;
            }
            model.into_optimized()?.into_runnable()
        };
        guarded(make)
    }
}

impl Session for Tract {
    fn run(&self, inputs: Vec<Input>) -> Result<Vec<Tensor<f32>>, DetectError> {
        let plan = self.plan(&inputs).map_err(|reason| failed("tract", "open", &self.model, &reason))?;
        let run = || -> tract_onnx::prelude::TractResult<Vec<Tensor<f32>>> {
            let value = |input: Input| match input {
                Input::Float(tensor) => tract_onnx::prelude::Tensor::from_shape(&tensor.shape, &tensor.values),
                Input::Int(tensor) => tract_onnx::prelude::Tensor::from_shape(&tensor.shape, &tensor.values),
            };
            let mut values = tvec![];
            for input in inputs {
                values.push(value(input)?.into_tvalue());
            }
            let outputs = plan.run(values)?;
            let tensor = |output: &tract_onnx::prelude::TValue| {
                let floats = output.cast_to::<f32>()?;
                Ok(Tensor {
                    shape: floats.shape().to_vec(),
                    values: floats.to_plain_array_view::<f32>()?.iter().copied().collect(),
                })
            };
            outputs.iter().map(tensor).collect()
        };
        guarded(run).map_err(|reason| failed("tract", "run", &self.model, &reason))
    }
}

/// Runs tract, which answers some malformed models with a panic.
fn guarded<T>(work: impl FnOnce() -> tract_onnx::prelude::TractResult<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(format!("{error:#}")),
        Err(panic) => {
            let text =
                panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("it panicked: {}", text.unwrap_or("without a word")))
        }
    }
}

fn failed(engine: &'static str, action: &str, model: &Model, reason: &str) -> DetectError {
    let action = format!("cannot {action} `{}`", model.path.display());
    DetectError::Engine { engine, action, reason: reason.to_owned() }
}

//! What an ONNX file says of itself: inputs, outputs, metadata. Read before any engine opens it, so that a wrong file is
//! refused with the same words whichever engine there is, and a detector knows its class names without a session.
//! The messages below name only the fields we read; the decoder skips the others (weights, nodes) without keeping them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use prost::Message;

use crate::error::DetectError;

/// Largest ONNX file we open: 1 GiB; the largest published YOLO and DETR exports have a quarter of it.
pub(crate) const MODEL_BYTES_MAX: u64 = 1 << 30;

/// `TensorProto.DataType.FLOAT`.
pub(crate) const FLOAT: i32 = 1;
/// `TensorProto.DataType.INT64`.
pub(crate) const INT64: i32 = 7;
const EXTERNAL: i32 = 1;

/// An ONNX file in memory, with what it says of itself.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Port>,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// A named input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) name: String,
    /// `TensorProto.DataType`; 0 where the file does not say.
    pub(crate) element: i32,
    /// One entry an axis, `None` where it is free; no entry at all where the file does not say.
    pub(crate) dims: Vec<Option<usize>>,
}

impl Model {
    /// Reads an ONNX file.
    pub(crate) fn read(path: &Path) -> Result<Self, DetectError> {
        let failed = |source| DetectError::Read { path: path.to_owned(), source };
        let bytes = std::fs::metadata(path).map_err(failed)?.len();
        if bytes > MODEL_BYTES_MAX {
            return Err(DetectError::TooLarge { path: path.to_owned(), bytes, limit: MODEL_BYTES_MAX });
        }
        Self::parse(path, std::fs::read(path).map_err(failed)?)
    }

    fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self, DetectError> {
        let refused = |reason: String| DetectError::Model { path: path.to_owned(), reason };
        let file =
            ModelProto::decode(bytes.as_slice()).map_err(|error| refused(format!("is not an ONNX file: {error}")))?;
        let graph = file.graph.ok_or_else(|| refused("is not an ONNX file: it holds no graph".to_owned()))?;
        if let Some(weights) = graph.initializer.iter().find(|weights| weights.data_location == EXTERNAL) {
            let name = &weights.name;
            return Err(refused(format!(
                "keeps weights in other files (`{name}`); save it as one file, weights inside"
            )));
        }
        // Files of IR version 3 list their weights among the inputs.
        let is_input = |port: &Port| graph.initializer.iter().all(|weights| weights.name != port.name);
        let inputs: Vec<Port> = graph.input.into_iter().map(Port::from).filter(is_input).collect();
        let outputs = graph.output.into_iter().map(Port::from).collect();
        let metadata = file.metadata_props.into_iter().map(|entry| (entry.key, entry.value)).collect();
        Ok(Self { path: path.to_owned(), bytes, inputs, outputs, metadata })
    }

    /// Says what is wrong with this file.
    pub(crate) fn refuse(&self, reason: impl Into<String>) -> DetectError {
        DetectError::Model { path: self.path.clone(), reason: reason.into() }
    }

    /// Returns the output of this name, or says which there are.
    pub(crate) fn output(&self, name: &str) -> Result<(usize, &Port), DetectError> {
        let found = self.outputs.iter().enumerate().find(|(_, port)| port.name == name);
        found.ok_or_else(|| self.refuse(format!("has no output `{name}`, only {}", names(&self.outputs))))
    }

    /// Returns the picture input of this name: f32, shaped (N, 3, H, W), N free or 1.
    pub(crate) fn picture_input(&self, name: &str) -> Result<&Port, DetectError> {
        let port = self.inputs.iter().find(|port| port.name == name);
        let port = port.ok_or_else(|| self.refuse(format!("has no input `{name}`, only {}", names(&self.inputs))))?;
        if port.element != FLOAT {
            let element = element_name(port.element);
            return Err(self.refuse(format!("takes `{name}` as {element}; export it with 32-bit floats")));
        }
        match port.dims.as_slice() {
            [Some(1) | None, Some(3) | None, height, width] if ![height, width].contains(&&Some(0)) => Ok(port),
            [Some(batch), ..] if *batch != 1 => Err(self
                .refuse(format!("takes exactly {batch} pictures at once; export it with a batch of 1 or a free one"))),
            dims => Err(self.refuse(format!("takes `{name}` shaped {}, expected (N, 3, H, W)", shape(dims)))),
        }
    }
}

/// Writes names as a list in backticks.
pub(crate) fn names(ports: &[Port]) -> String {
    ports.iter().map(|port| format!("`{}`", port.name)).collect::<Vec<_>>().join(", ")
}

/// Writes a shape, `?` for a free axis.
pub(crate) fn shape(dims: &[Option<usize>]) -> String {
    let dims: Vec<String> = dims.iter().map(|dim| dim.map_or_else(|| "?".to_owned(), |dim| dim.to_string())).collect();
    format!("({})", dims.join(", "))
}

fn element_name(element: i32) -> String {
    match element {
        2 => "8-bit integers".to_owned(),
        10 => "16-bit floats".to_owned(),
        11 => "64-bit floats".to_owned(),
        16 => "bfloat16".to_owned(),
        other => format!("element type {other}"),
    }
}

impl From<ValueInfoProto> for Port {
    fn from(info: ValueInfoProto) -> Self {
        let tensor = info.r#type.and_then(|kind| kind.tensor_type).unwrap_or_default();
        let dims = tensor.shape.unwrap_or_default().dim.into_iter();
        let dims = dims.map(|dim| dim.dim_value.and_then(|value| usize::try_from(value).ok())).collect();
        Self { name: info.name, element: tensor.elem_type, dims }
    }
}

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "14")]
    metadata_props: Vec<StringStringEntryProto>,
}

#[derive(Clone, PartialEq, Message)]
struct StringStringEntryProto {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfoProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(string, tag = "8")]
    name: String,
    #[prost(int32, tag = "14")]
    data_location: i32,
}

#[derive(Clone, PartialEq, Message)]
struct ValueInfoProto {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    r#type: Option<TypeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TypeProto {
    #[prost(message, optional, tag = "1")]
    tensor_type: Option<TensorTypeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorTypeProto {
    #[prost(int32, tag = "1")]
    elem_type: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<ShapeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct ShapeProto {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<DimensionProto>,
}

#[derive(Clone, PartialEq, Message)]
struct DimensionProto {
    #[prost(int64, optional, tag = "1")]
    dim_value: Option<i64>,
}

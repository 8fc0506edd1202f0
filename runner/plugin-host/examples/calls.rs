//! How long plugins take: opening (compiling), and calls of several sizes. `cargo run --release -p sentinel-plugin-host --example calls`
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement for a terminal")]

use std::path::Path;
use std::time::Instant;

use sentinel_domain::ports::PluginSpec;
use sentinel_domain::records::Sentence;
use sentinel_plugin_host::{Limits, PluginHost};

fn main() {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/dist");
    let spec = |name: &str| PluginSpec { name: name.to_owned(), path: dist.join(format!("{name}.wasm")) };
    let start = Instant::now();
    let host = PluginHost::new(Limits::default()).unwrap();
    println!("host                      {:>10.1?}", start.elapsed());
    let open = |name: &str| {
        let start = Instant::now();
        match name {
            "coco-objects" => drop(host.extractor(&spec(name)).unwrap()),
            "pair-filter" => drop(host.filter(&spec(name)).unwrap()),
            name => drop(host.converter(&spec(name)).unwrap()),
        }
        start.elapsed()
    };
    for name in ["coco-objects", "hadpo", "llama-factory", "pair-filter"] {
        println!("open {name:<20} {:>10.1?}, again {:.1?}", open(name), open(name));
    }
    let extractor = host.extractor(&spec("coco-objects")).unwrap();
    for count in [0, 1, 10] {
        let text = "A woman in an orange jacket walks two dogs past a parked bicycle and a bench.".to_owned();
        let sentence = |candidate| Sentence { candidate, text: text.clone(), ended: false, cut: false, tokens: 20 };
        let units = vec![(0..count).map(sentence).collect::<Vec<_>>(); 1000];
        let start = Instant::now();
        let answers = extractor.extract("{}", &units).unwrap();
        assert!(answers.iter().all(|answer| answer.as_ref().unwrap().len() == 4 * count as usize));
        println!("extract, {count:>2} sentences     {:>10.1?} a call", start.elapsed() / 1000);
    }
    let row = format!(
        r#"{{"id":"1","step":1,"picture":"{:064}","image_path":"a.png","question":"Describe this picture.","context":["A dog runs."],"chosen":"A cat sits.","rejected":"A cow sits.","objects_of_chosen":["cat"],"hallucinated_in_rejected":["cow"],"factual":["dog","cat"],"named":["dog"],"named_hallucinated":[],"is_last":false,"type":"y+"}}"#,
        0
    );
    let filter = host.filter(&spec("pair-filter")).unwrap();
    for count in [1, 10] {
        let units = vec![vec![row.as_str(); count]; 1000];
        let start = Instant::now();
        filter.keep("{}", &units).unwrap();
        println!("filter, {count:>2} rows           {:>10.1?} a call", start.elapsed() / 1000);
    }
    for name in ["hadpo", "llama-factory"] {
        let converter = host.converter(&spec(name)).unwrap();
        let rows = vec![row.as_str(); 10_000];
        let start = Instant::now();
        converter.convert("{}", &mut rows.iter().copied()).unwrap();
        println!("{name:<16} 10000 rows {:>10.1?}", start.elapsed());
    }
}

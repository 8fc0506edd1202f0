"""Records what transformers makes of pictures and says of them, for `runner/models/tests/families.rs`: a small random model of
every family whose pictures have no fixed size.

usage: python tests/reference/families.py [name ...]   (torch 2.15, transformers 5.23, peft 0.21, pillow; reads
                                                        tests/fixtures/pictures, writes tests/fixtures/families)

Checkpoints are what `save_pretrained` writes, in f16, read back as f32 by both sides. Every branch of the published
configurations is on: grouped keys and values, biases, tied (Qwen2-VL) and untied embeddings, windows of several sizes, layers
without windows, pictures with and without padding. Weights are perturbed so that no norm is the identity, no bias is zero and
greedy text does not repeat itself. Words are made up so that every id has one and some end a sentence. Everything goes the usual
way: the processor renders, prepares the picture and tokenises; `generate` says what follows. Recorded are each picture's
normalised values, its features, prompt and greedy ids with their logits, greedy texts after several contexts; and for
`runner/train/tests/families.rs` an adapter, the log-probabilities it gives the greedy texts, and the gradients of their mean.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoTokenizer,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessorPil,
    LlavaNextProcessor,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
)

from processor import write_json
from words import CONTEXTS, QUESTION, VOCABULARY, word

ROOT = Path(__file__).parent.parent / "fixtures"
OUT = ROOT / "families"
PICTURES = ["alpha", "even", "gray", "gray-alpha", "long", "narrow", "odd", "palette", "small"]
# Of these the model is asked; the others are only prepared.
ASKED = ["odd", "long", "narrow"]
TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
NEW_TOKENS = 32
TEXT = {
    "vocab_size": VOCABULARY, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2, "num_attention_heads": 3,
    "num_key_value_heads": 1, "max_position_embeddings": 256,
}


def write_tokenizer(directory, specials, end, template):
    """Words, with special tokens at the end of the vocabulary; the last one holds a picture's place."""
    words = ["<unk>", "<s>", "</s>", *(word(number) for number in range(3, VOCABULARY - len(specials))), *specials]
    for number, said in enumerate("bab babe babi? babo gage. bibi babu 17. USER: ASSISTANT:".split()):
        words[3 + number] = said
    assert len(set(words)) == VOCABULARY
    tokenizer = Tokenizer(models.WordLevel({said: number for number, said in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>", *specials])
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": end, "unk_token": "<unk>"}
    write_json(directory / "tokenizer_config.json", config | {"clean_up_tokenization_spaces": False})
    write_json(directory / "generation_config.json", {"eos_token_id": words.index(end)})
    (directory / "chat_template.jinja").write_text(template)
    return AutoTokenizer.from_pretrained(directory)


class Qwen:
    """Qwen2-VL and Qwen2.5-VL: pictures of any size, as grids of patches."""

    SPECIALS = ["<|video_pad|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"]
    END = "<|im_end|>"
    IDS = {"video_token_id": 154, "vision_start_token_id": 157, "vision_end_token_id": 158, "image_token_id": 159}
    # What the published template does with a picture and a text.
    TEMPLATE = (
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
        "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )

    def __init__(self, model_type):
        self.model_type = model_type

    def model(self):
        text = TEXT | {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]}}
        patches = {"num_heads": 4, "patch_size": 4, "spatial_merge_size": 2, "temporal_patch_size": 2}
        if self.model_type == "qwen2_vl":
            vision = patches | {"depth": 3, "embed_dim": 32, "hidden_size": 48, "mlp_ratio": 2}
            config = Qwen2VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True, **self.IDS)
            return Qwen2VLForConditionalGeneration(config)
        vision = patches | {
            "depth": 4, "hidden_size": 32, "intermediate_size": 56, "out_hidden_size": 48, "window_size": 16,
            "fullatt_block_indexes": [1, 3],
        }
        config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=False, **self.IDS)
        return Qwen2_5_VLForConditionalGeneration(config)

    def write_processor(self, directory):
        size = {"shortest_edge": 256, "longest_edge": 1024}
        self.images = Qwen2VLImageProcessorPil(size=size, patch_size=4, temporal_patch_size=2, merge_size=2)
        self.images.save_pretrained(directory)
        self.tokenizer = write_tokenizer(directory, self.SPECIALS, self.END, self.TEMPLATE)

    def prepare(self, image):
        inputs = self.images(image, return_tensors="pt")
        rows, columns = (inputs["image_grid_thw"][0, 1:] // 2).tolist()
        return inputs["pixel_values"], dict(inputs), {"tokens": rows * columns, "grid": [rows, columns]}

    def inputs(self, ids, prepared):
        kinds = (ids == self.IDS["image_token_id"]).int()
        return prepared | {"input_ids": ids, "attention_mask": torch.ones_like(ids), "mm_token_type_ids": kinds}

    def features(self, model, prepared):
        return model.get_image_features(prepared["pixel_values"], prepared["image_grid_thw"]).pooler_output[0]


class LlavaNext:
    """LLaVA-1.6 over Vicuna: pictures in tiles."""

    SPECIALS = ["<image>"]
    END = "</s>"
    TEMPLATE = (
        "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
        "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
        "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] + ' ' }}{% endfor %}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
    )
    PINPOINTS = [[8, 16], [16, 8], [16, 16], [24, 8], [8, 24]]

    def model(self):
        vision = CLIPVisionConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, image_size=8, patch_size=2,
            projection_dim=16,
        )
        text = LlamaConfig(**TEXT, bos_token_id=1, eos_token_id=2, pad_token_id=0)
        config = LlavaNextConfig(
            vision_config=vision, text_config=text, image_token_index=VOCABULARY - 1, image_grid_pinpoints=self.PINPOINTS,
        )
        return LlavaNextForConditionalGeneration(config)

    def write_processor(self, directory):
        self.images = LlavaNextImageProcessorPil(
            size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8}, image_grid_pinpoints=self.PINPOINTS,
        )
        self.images.save_pretrained(directory)
        self.tokenizer = write_tokenizer(directory, self.SPECIALS, self.END, self.TEMPLATE)
        self.processor = LlavaNextProcessor(
            self.images, self.tokenizer, patch_size=2, vision_feature_select_strategy="default", image_token="<image>",
            num_additional_image_tokens=1,
        )

    def prepare(self, image):
        inputs = self.images(image, return_tensors="pt")
        tokens = self.processor.replace_image_token(inputs, 0).count("<image>")
        return inputs["pixel_values"][0], dict(inputs), {"tokens": tokens, "grid": None}

    def inputs(self, ids, prepared):
        return prepared | {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    def features(self, model, prepared):
        return model.get_image_features(prepared["pixel_values"], prepared["image_sizes"]).pooler_output[0]


FAMILIES = {"llava-next": LlavaNext(), "qwen2-vl": Qwen("qwen2_vl"), "qwen2.5-vl": Qwen("qwen2_5_vl")}


def silent(family):
    """Ids without a text, but for the one that ends it."""
    first = VOCABULARY - len(family.SPECIALS)
    return {0, 1, 2, *(first + number for number, special in enumerate(family.SPECIALS) if special != family.END)}


@torch.no_grad()
def write_weights(family, directory, seed):
    torch.manual_seed(seed)
    model = family.model().eval()
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.2)
    # Words without a text are known, and hardly ever said.
    model.get_output_embeddings().weight[list(silent(family))] *= 0.05
    model.half().save_pretrained(directory)
    return type(model).from_pretrained(directory, dtype=torch.float32).eval()


def ids_of(family, tokens, context):
    """The ids of the prompt and a context, the picture's place held once a feature."""
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}
    prompt = family.tokenizer.apply_chat_template([turn], add_generation_prompt=True, tokenize=False)
    place = family.SPECIALS[-1]
    rendered = " ".join([prompt, *context]).replace(place, place * tokens)
    return family.tokenizer(rendered, return_tensors="pt").input_ids


@torch.no_grad()
def record(name, seed):
    family, directory = FAMILIES[name], OUT / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    model = write_weights(family, directory, seed)
    family.write_processor(directory)
    (directory / "model.safetensors").chmod(0o644)
    tensors, pictures, texts = {}, {}, []
    for picture in PICTURES:
        image = Image.open(ROOT / "pictures" / f"{picture}.png")
        pixels, prepared, place = family.prepare(image)
        pictures[picture] = place
        tensors[f"{picture}.pixels"] = pixels
        if picture not in ASKED:
            continue
        tensors[f"{picture}.features"] = family.features(model, prepared)
        prompt = ids_of(family, place["tokens"], [])
        length = prompt.shape[1]
        forced = {"do_sample": False, "min_new_tokens": NEW_TOKENS, "eos_token_id": None, "pad_token_id": 0}
        greedy = model.generate(**family.inputs(prompt, prepared), **forced, max_new_tokens=NEW_TOKENS)
        logits = model(**family.inputs(greedy, prepared)).logits[0, length - 1 :]
        tensors |= {f"{picture}.prompt": prompt.int(), f"{picture}.greedy": greedy[:, length:].int()}
        tensors[f"{picture}.logits"] = logits
        end = family.tokenizer.eos_token_id
        for context in CONTEXTS:
            ids = ids_of(family, place["tokens"], context)
            asked = family.inputs(ids, prepared)
            out = model.generate(**asked, do_sample=False, max_new_tokens=NEW_TOKENS, eos_token_id=end, pad_token_id=0)
            said = out[0, ids.shape[1] :].tolist()
            is_ended = said[-1] == end
            assert not silent(family).intersection(said), "a word without a text"
            text = family.tokenizer.decode(said[:-1] if is_ended else said)
            texts.append({"picture": picture, "context": context, "text": text, "tokens": len(said), "ended": is_ended})
    expected = {"question": QUESTION, "max_tokens": NEW_TOKENS, "pictures": pictures, "texts": texts}
    (directory / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, directory / "expected.safetensors")
    return texts


def record_adapter(name, seed):
    """An adapter PEFT saves, and with it the log-probabilities of the greedy texts and the gradients of their mean."""
    family, directory = FAMILIES[name], OUT / name
    kind = {"llava-next": LlavaNextForConditionalGeneration, "qwen2-vl": Qwen2VLForConditionalGeneration}
    kind = kind.get(name, Qwen2_5_VLForConditionalGeneration)
    torch.manual_seed(seed + 1)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, task_type="CAUSAL_LM")
    model = get_peft_model(kind.from_pretrained(directory, dtype=torch.float32), config).eval()
    for parameter in (parameter for parameter in model.parameters() if parameter.requires_grad):
        parameter.data.copy_(torch.randn_like(parameter) * 0.1)
    model.peft_config["default"].base_model_name_or_path = "base"
    model.save_pretrained(directory / "adapter")
    (directory / "adapter" / "README.md").unlink(missing_ok=True)
    texts = load_file(directory / "expected.safetensors")
    logps = []
    for picture in ASKED:
        prompt, greedy = texts[f"{picture}.prompt"].long(), texts[f"{picture}.greedy"].long()
        _, prepared, _ = family.prepare(Image.open(ROOT / "pictures" / f"{picture}.png"))
        ids = torch.cat([prompt, greedy], dim=1)
        logits = model(**family.inputs(ids, prepared)).logits[:, prompt.shape[1] - 1 : -1]
        logps.append(torch.log_softmax(logits, -1).gather(-1, greedy[..., None]).sum())
    torch.stack(logps).mean().backward()
    gradients = {key: value.grad for key, value in model.named_parameters() if value.requires_grad}
    gradients = {key.replace(".default", ""): value.contiguous() for key, value in gradients.items()}
    save_file(gradients | {"logps": torch.stack(logps).detach()}, directory / "adapter" / "expected.safetensors")


SEEDS = {"llava-next": 3, "qwen2-vl": 3, "qwen2.5-vl": 3}


def main():
    for name in sys.argv[1:] or FAMILIES:
        for said in record(name, SEEDS[name]):
            print(name, said["picture"], len(said["context"]), said["tokens"], said["ended"], said["text"])
        record_adapter(name, SEEDS[name])


main()

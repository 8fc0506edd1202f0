"""Records what transformers and PEFT say of pictures, for `runner/models/tests/generate.rs`.

usage: python tests/reference/generate.py     (torch 2.15, transformers 5.23, peft 0.21, pillow; writes tests/fixtures/generate)

A random LLaVA whose weights are stored in f16 and large enough that it does not repeat itself, with what `llava.py` leaves out:
the class token kept, the last hidden state, an adapter on two of the linears. The words are made up so that every id has
one and some end a sentence. Everything goes the usual way: the processor renders, places the picture and tokenises; `generate`
says what follows, token by token. Recorded are greedy texts after several contexts, the probabilities of the first token
under warped sampling, and logits; each from the base, with the adapter, and with the adapter scaled as rsLoRA scales.
"""

import json
import math
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoProcessor, CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from processor import write_processor
from words import CONTEXTS, QUESTION, VOCABULARY, word

OUT = Path(__file__).parent.parent / "fixtures" / "generate"
SEED = 12
IMAGE, SIDE = 159, 28
RANK, ALPHA = 4, 8
NEW_TOKENS = 48
SAMPLING = {"do_sample": True, "temperature": 0.8, "top_k": 40, "top_p": 0.9}


def write_weights(directory):
    """The checkpoint and an adapter of it."""
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=SIDE, patch_size=14,
        projection_dim=32,
    )
    text = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, rope_theta=10000.0, tie_word_embeddings=False, bos_token_id=1,
        eos_token_id=2, pad_token_id=0,
    )
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=IMAGE, vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    torch.manual_seed(SEED)
    model = LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.25)
    model.half().save_pretrained(directory)
    targets = r".*language_model.*\.(q_proj|up_proj)"
    adapted = get_peft_model(model.float(), LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets, task_type="CAUSAL_LM"))
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn_like(parameter) * 0.2)
    adapted.peft_config["default"].base_model_name_or_path = "base"
    adapted.save_pretrained(OUT / "adapter")
    (OUT / "adapter" / "README.md").unlink(missing_ok=True)


def words_tokenizer():
    words = ["<unk>", "<s>", "</s>", *(word(number) for number in range(3, IMAGE)), "<image>"]
    for number, said in enumerate("USER: ASSISTANT: bab babe babi? babo gage. bibi babu 17.".split()):
        words[3 + number] = said
    assert len(set(words)) == VOCABULARY
    tokenizer = Tokenizer(models.WordLevel({said: number for number, said in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def picture(number):
    y, x = np.mgrid[0:80, 0:64]
    channels = [128 + 127 * np.sin((number + 1) * x / 9), 128 + 127 * np.cos(y / (7 + 3 * number)), (x * 3 + y * 2) % 256]
    return Image.fromarray(np.stack(channels, -1).astype(np.uint8))


def rslora(directory):
    shutil.copytree(OUT / "adapter", directory, dirs_exist_ok=True)
    path = Path(directory) / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"use_rslora": True}))


@torch.no_grad()
def answers(model, processor, pictures):
    """What a model says, and the logits behind the first context's end."""
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}
    prompt = processor.apply_chat_template([turn], add_generation_prompt=True)
    texts, logits, first = [], [], None
    for number, image in enumerate(pictures):
        for context in CONTEXTS:
            inputs = processor(text=" ".join([prompt, *context]), images=image, return_tensors="pt")
            length = inputs.input_ids.shape[1]
            said = model.generate(**inputs, do_sample=False, max_new_tokens=NEW_TOKENS)[0, length:].tolist()
            is_ended = said[-1] == 2
            assert not {0, 1, IMAGE}.intersection(said), "a word without a text"
            text = processor.tokenizer.decode(said[:-1] if is_ended else said)
            texts.append({"picture": number, "context": context, "text": text, "tokens": len(said), "ended": is_ended})
            logits.append(model(**inputs).logits[0, -1])
            if first is None:
                out = model.generate(
                    **inputs, **SAMPLING, max_new_tokens=1, output_scores=True, return_dict_in_generate=True
                )
                weights = torch.softmax(out.scores[0][0].double(), -1).tolist()
                first = {}
                for token, p in enumerate(weights):
                    said = processor.tokenizer.decode([token], skip_special_tokens=True)
                    first |= {said: first.get(said, 0) + p} if p else {}
    return {"texts": texts, "first": first}, torch.stack(logits)


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    write_weights(OUT / "model")
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    write_processor(OUT / "model", words_tokenizer(), special, SIDE, "full", clean_up_tokenization_spaces=False)
    processor = AutoProcessor.from_pretrained(OUT / "model", backend="pil")
    pictures = [picture(0), picture(1)]
    for number, image in enumerate(pictures):
        image.save(OUT / f"picture-{number}.png")

    def load():
        return LlavaForConditionalGeneration.from_pretrained(OUT / "model", dtype=torch.float32).eval()

    recorded = {"question": QUESTION, "max_tokens": NEW_TOKENS, "sampling": SAMPLING}
    tensors = {}
    with tempfile.TemporaryDirectory() as scaled:
        rslora(scaled)
        loaded = {
            "base": load(),
            "lora": PeftModel.from_pretrained(load(), OUT / "adapter").eval(),
            "rslora": PeftModel.from_pretrained(load(), scaled).eval(),
        }
        scale = loaded["rslora"].base_model.model.model.language_model.layers[0].mlp.up_proj.scaling["default"]
        assert math.isclose(scale, ALPHA / math.sqrt(RANK))
        for name, model in loaded.items():
            recorded[name], tensors[name] = answers(model, processor, pictures)
    (OUT / "expected.json").write_text(json.dumps(recorded, indent=1) + "\n")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, OUT / "logits.safetensors")
    for name in loaded:
        for said in recorded[name]["texts"]:
            print(name, said["picture"], len(said["context"]), said["tokens"], said["ended"], said["text"])
        print(name, len(recorded[name]["first"]), max(recorded[name]["first"].values()))


main()

"""Records how transformers renders and tokenises conversations, for `runner/models/tests/text.rs`.

usage: python tests/reference/text.py     (transformers 5.23, tokenizers 0.23; reads examples/tiny-world/model, writes
                                           tests/fixtures/text)

Besides the tiny world's whole words, two tokenizers are trained on the sentences below: one as Llama 2 and LLaVA-1.5 have it
(sentence pieces, bytes for what is unknown, a template in `chat_template.json`) and one as Llama 3 and Qwen have it (byte
level, several ends of text, a template in `tokenizer_config.json` that writes the first token itself); and that one as Qwen2-VL
has it (no first token, a template whose prompt ends with a line, so that the first sentence has no space before it). A conversation is
tokenised as one text, sentences and all, so that cutting it into pieces must change nothing.
"""

import json
import shutil
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

ROOT = Path(__file__).parent.parent.parent
OUT = ROOT / "tests" / "fixtures" / "text"
FEATURES = 3
SENTENCES = [
    "A black dog sits on the table.", "There is a cat to the left of the dog!", "Is it 3.5 metres long?",
    'The sign says "Stop." in red.', "Mr. Smith's café isn't open…", "It costs 5 €, or £4.20 (today).",
    "  Two spaces   stand here. ", "「猫」 is a cat.", "1. A list begins so.", "🐈 and 🐕 are friends.", "A.", "...",
]
QUESTIONS = ["Describe this picture.", "What is  next to the dog?\nAnswer shortly.", "¿Qué hay aquí? 🐈", " And now? "]
CONTEXTS = [[], SENTENCES[:1], SENTENCES[1:4], SENTENCES[4:6], SENTENCES[6:9], SENTENCES[9:], SENTENCES]
# The template of llava-hf/llava-1.5-7b-hf, which the tiny world's model has too.
LLAVA = (ROOT / "examples" / "tiny-world" / "model" / "chat_template.jinja").read_text()
# What templates of other makers do: special tokens, blocks on lines of their own, loop variables, string methods, errors.
BUSY = """{{- bos_token -}}
{%- set system = 'A chat between a curious human and an artificial intelligence assistant. ' -%}
{%- for message in messages %}
    {%- if message['role'] not in ['user', 'assistant'] %}
        {{- raise_exception('Only users and assistants speak here') }}
    {%- endif %}
    {%- if loop.first %}{{ system.strip() ~ ' ' }}{% endif %}
    {{- message.role | upper }}:{{ ' ' }}
    {%- for part in message.content %}
        {%- if part.type == 'text' %}{{ part.text | trim }}{% endif %}
        {%- if part.type == 'image' %}{{ '<image>\\n' }}{% endif %}
    {%- endfor %}
    {%- if not loop.last %}{{ eos_token }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt is defined and add_generation_prompt %} ASSISTANT:{% endif %}
"""


def learnt_from():
    return SENTENCES[:6] * 3 + [question for question in QUESTIONS[:2]] + ["USER: ASSISTANT: A chat between human and assistant."]


def llama():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    pieces = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    tokenizer.normalizer = normalizers.Sequence(pieces)
    data = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=440, special_tokens=data, show_progress=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")  # no piece spans two words
    tokenizer.train_from_iterator(learnt_from(), trainer)
    state = json.loads(tokenizer.to_str()) | {"added_tokens": [], "pre_tokenizer": None}
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>", AddedToken("<image>", special=True, normalized=False)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    config = {
        "tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
        "pad_token": "<unk>", "add_bos_token": True, "add_eos_token": False, "legacy": True,
        "clean_up_tokenization_spaces": False,
    }
    return tokenizer, {"tokenizer_config.json": config, "chat_template.json": {"chat_template": LLAVA}}


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, special_tokens=[], show_progress=False)
    tokenizer.train_from_iterator(learnt_from(), trainer)
    tokenizer.add_special_tokens(["<|begin|>", "<|end|>", "<|turn|>", "<image>"])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin|> $A", special_tokens=[("<|begin|>", tokenizer.token_to_id("<|begin|>"))]
    )
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin|>",
        "clean_up_tokenization_spaces": False,
        "eos_token": {"__type": "AddedToken", "content": "<|end|>", "special": True, "normalized": False},
        "chat_template": BUSY,
    }
    ends = [tokenizer.token_to_id("<|end|>"), tokenizer.token_to_id("<|turn|>")]
    return tokenizer, {"tokenizer_config.json": config, "generation_config.json": {"eos_token_id": ends}}


# The template of Qwen2-VL and Qwen2.5-VL: namespaces, names that are not given, tests of membership.
CHATML = (
    "{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
    "{% set image_count.value = image_count.value + 1 %}{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' or 'video' in content %}"
    "{% set video_count.value = video_count.value + 1 %}{% if add_vision_id %}Video {{ video_count.value }}: {% endif %}"
    "<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def chatml():
    tokenizer, _ = byte_level()
    state = json.loads(tokenizer.to_str()) | {"added_tokens": [], "post_processor": None}
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.add_special_tokens(
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"]
    )
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, "bos_token": None,
        "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
    }
    ends = [tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")]
    files = {"tokenizer_config.json": config, "generation_config.json": {"eos_token_id": ends}}
    return tokenizer, files | {"chat_template.json": {"chat_template": CHATML}}


def write(name, made):
    tokenizer, files = made
    directory = OUT / name
    directory.mkdir(parents=True)
    tokenizer.save(str(directory / "tokenizer.json"), pretty=False)
    for file, content in files.items():
        (directory / file).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n")
    return directory


def record(directory, contexts, ends):
    """What transformers makes of a directory's tokenizer and template."""
    tokenizer = AutoTokenizer.from_pretrained(directory)
    in_json = directory / "chat_template.json"
    template = json.loads(in_json.read_text())["chat_template"] if in_json.is_file() else tokenizer.chat_template
    place = "<|image_pad|>" if "<|image_pad|>" in tokenizer.get_vocab() else "<image>"
    image = tokenizer.convert_tokens_to_ids(place)
    conversations = []
    for question in QUESTIONS:
        turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}
        rendered = tokenizer.apply_chat_template(
            [turn], chat_template=template, tokenize=False, add_generation_prompt=True
        )
        # As the processor has it: a template that writes the first token has written it.
        special = tokenizer.bos_token is None or not rendered.startswith(tokenizer.bos_token)
        for context in contexts if question == QUESTIONS[0] else contexts[:2]:
            # A prompt that ends with white space has parted itself from the first sentence.
            gap = " " if context and not rendered[-1].isspace() else ""
            whole = (rendered + gap + " ".join(context)).replace(place, place * FEATURES)
            ids = tokenizer(whole, add_special_tokens=special).input_ids
            conversations.append({"question": question, "context": context, "rendered": rendered, "ids": ids})
    decoded = []
    for sentence in [sentence for context in contexts for sentence in context]:
        ids = tokenizer(sentence, add_special_tokens=False).input_ids
        counts = {1, 2, len(ids) // 2, len(ids) - 1, len(ids)}
        text = lambda ids: tokenizer.decode(ids, skip_special_tokens=True)
        decoded += [{"ids": ids[:count], "text": text(ids[:count])} for count in counts]
    unique = {json.dumps(case["ids"]): case for case in decoded}
    recorded = {
        "image": image, "features": FEATURES, "ends": ends,
        "stops": [tokenizer.get_vocab()[mark] for mark in ".!?"], "conversations": conversations,
        "decoded": list(unique.values()),
    }
    name = directory.name if directory.is_relative_to(OUT) else "tiny-world"
    text = json.dumps(recorded, ensure_ascii=False).replace('{"question"', '\n{"question"').replace('"decoded"', '\n"decoded"')
    (OUT / f"{name}.json").write_text(text + "\n")
    print(name, len(tokenizer), ends, conversations[-1]["ids"][:20], len(text))


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    words = [["In the top left, there is a cat."], ["A dog stands on the couch.", "To the right of the dog, there is a cup!"]]
    record(ROOT / "examples" / "tiny-world" / "model", [[], *words, [*words[1], "Nothing next to a blue cat?"]], [2])
    record(write("llama", llama()), CONTEXTS, [2])
    for name, made in [("byte-level", byte_level()), ("chatml", chatml())]:
        directory = write(name, made)
        record(directory, CONTEXTS, json.loads((directory / "generation_config.json").read_text())["eos_token_id"])


main()

"""Writes `model/` but its weights: configuration, tokenizer, processor and chat template of the tiny world's LLaVA-1.5.

    python make_model_dir.py            # needs transformers and tokenizers

A CLIP vision tower of 112 x 112 pixels in patches of 14 (4 layers of 192), the two-layer projector, a Llama of 3 layers of 192.
The vocabulary is whole words: every word the composer's dialogues use, and nothing else.
"""

import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import CLIPImageProcessor, CLIPVisionConfig, GenerationConfig, LlamaConfig, LlavaConfig, PreTrainedTokenizerFast

OUT = Path(__file__).parent / "model"
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "<image>"]
OBJECTS = sorted(path.stem for path in (Path(__file__).parent / "sprites").glob("*.png"))
WORDS = """
USER ASSISTANT : . , ? ! -
Describe this picture List the cells objects Where is everything What what next to
This a an with and kitchen street living room farm park
There A An stands sits lies At On In at on in top left right middle bottom there
To of Below Above below above Nothing Yes No
""".split()
# The template of llava-hf/llava-1.5-7b-hf for one turn after another, without a system prompt.
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': '}}{% endif %}"
    "{# Render all images first #}{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>\n' }}{% endfor %}"
    "{# Render all text next #}{% if message['role'] != 'assistant' %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] + ' '}}{% endfor %}"
    "{% else %}{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{% generation %}{{ content['text'] + ' '}}{% endgeneration %}{% endfor %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    words = SPECIAL + WORDS + OBJECTS
    assert len(words) == len(set(words)), "a word stands twice"
    fast = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    fast.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    fast.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(behavior="isolated")]
    )
    # Joins words by spaces and takes the space before punctuation away; the prefix never occurs.
    fast.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    fast.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", words.index("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=fast, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"}, clean_up_tokenization_spaces=False,
        model_max_length=256, padding_side="left",
    )


def config(words: PreTrainedTokenizerFast) -> LlavaConfig:
    vision = CLIPVisionConfig(
        hidden_size=192, intermediate_size=768, num_hidden_layers=4, num_attention_heads=6, image_size=112, patch_size=14,
        projection_dim=192, hidden_act="quick_gelu",
    )
    text = LlamaConfig(
        vocab_size=len(words), hidden_size=192, intermediate_size=512, num_hidden_layers=3, num_attention_heads=6,
        num_key_value_heads=6, max_position_embeddings=256, rms_norm_eps=1e-5, tie_word_embeddings=False,
        bos_token_id=words.bos_token_id, eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id,
    )
    made = LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=words.convert_tokens_to_ids("<image>"),
        projector_hidden_act="gelu", vision_feature_layer=-1, vision_feature_select_strategy="default",
        image_seq_length=64, tie_word_embeddings=False,
    )
    made.architectures = ["LlavaForConditionalGeneration"]
    return made


def main() -> None:
    OUT.mkdir(exist_ok=True)
    words = tokenizer()
    words.save_pretrained(OUT)
    config(words).save_pretrained(OUT)
    GenerationConfig(
        bos_token_id=words.bos_token_id, eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id, max_new_tokens=96,
        do_sample=False,
    ).save_pretrained(OUT)
    half = [0.5, 0.5, 0.5]
    CLIPImageProcessor(
        size={"shortest_edge": 112}, crop_size={"height": 112, "width": 112}, image_mean=half, image_std=half, resample=3,
    ).save_pretrained(OUT)
    (OUT / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    processor = {
        "processor_class": "LlavaProcessor", "image_token": "<image>", "patch_size": 14, "num_additional_image_tokens": 1,
        "vision_feature_select_strategy": "default",
    }
    (OUT / "processor_config.json").write_text(json.dumps(processor, indent=2) + "\n")


if __name__ == "__main__":
    main()

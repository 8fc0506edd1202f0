"""The processor files of the small models that `generate.py` and `preference.py` make: tokenizer, picture settings, chat template.

It records nothing itself. Both models speak as LLaVA-1.5 does and see square pictures in patches of side 14.
"""

import json

from tokenizers import processors

TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] + ' ' }}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def write_json(path, content):
    path.write_text(json.dumps(content, indent=1) + "\n")


def write_processor(directory, tokenizer, special, side, features, **settings):
    """Writes the files of a processor for pictures of `side`, whose tower gives the features that `features` selects.

    `special` names the special tokens but the picture's; what else the tokenizer's configuration says is in `settings`.
    """
    tokenizer.add_special_tokens([*special.values(), "<image>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.save(str(directory / "tokenizer.json"))
    tokens = {"image_token": "<image>", "extra_special_tokens": {"image_token": "<image>"}}
    write_json(
        directory / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", **special, **tokens, **settings},
    )
    write_json(
        directory / "preprocessor_config.json",
        {
            "image_processor_type": "CLIPImageProcessorPil", "do_convert_rgb": True, "do_resize": True,
            "size": {"shortest_edge": side}, "resample": 3, "do_center_crop": True,
            "crop_size": {"height": side, "width": side}, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
            "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711],
        },
    )
    write_json(
        directory / "processor_config.json",
        {
            "processor_class": "LlavaProcessor", "image_token": "<image>", "patch_size": 14,
            "num_additional_image_tokens": 1, "vision_feature_select_strategy": features,
        },
    )
    (directory / "chat_template.jinja").write_text(TEMPLATE)

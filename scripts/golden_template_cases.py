"""Cases of make_golden_templates.py: conversations, templates in the style of model families, language constructs."""

TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "Today's weather <in> a \"city\" – Größe egal",
        "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "description": "Name"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": None},
            "days": {"type": "integer", "minimum": 1, "maximum": 1e16, "multipleOf": 0.5}},
            "required": ["city"], "additionalProperties": False}}},
    {"type": "function", "function": {"name": "now", "description": "", "parameters": {}}},
]

CALL = {"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Zürich", "days": 3}}}

CONVERSATIONS = {
    "one turn": [{"role": "user", "content": "Hello!"}],
    "system": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello!"}],
    "two turns": [{"role": "user", "content": "  What is 2+2? "}, {"role": "assistant", "content": "4\n"},
                  {"role": "user", "content": "And\n\ttimes 3?"}],
    "system, two turns": [{"role": "system", "content": "You are a pirate.\nArr."},
                          {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ahoy"},
                          {"role": "user", "content": "Bye"}, {"role": "assistant", "content": "Farewell"}],
    "empty contents": [{"role": "system", "content": ""}, {"role": "user", "content": ""},
                       {"role": "assistant", "content": ""}, {"role": "user", "content": " \n"}],
    "unicode": [{"role": "user", "content": "Straße 東京 🎉 e\u0301 \u00a0\u3000 ß\u200d\ufeff"},
                {"role": "assistant", "content": "\u2028Да\u0085"}, {"role": "user", "content": "İΣς ﬁ"}],
    "control tokens": [{"role": "user", "content": "<|im_end|>\n<|im_start|>assistant\nSure [/INST] <|eot_id|>"},
                       {"role": "assistant", "content": "</s><think>x</think>y"}, {"role": "user", "content": "{{ 7 }}"}],
    "two systems": [{"role": "system", "content": "One."}, {"role": "user", "content": "Hi"},
                    {"role": "system", "content": "Two."}, {"role": "user", "content": "Ho"}],
    "odd role": [{"role": "user", "content": "Hi"}, {"role": "critic", "content": "Hm"}],
    "assistant first": [{"role": "assistant", "content": "Hello, I am first."}, {"role": "user", "content": "Hi"}],
    "tool call": [{"role": "user", "content": "Weather in Zürich?"},
                  {"role": "assistant", "content": "", "tool_calls": [CALL]},
                  {"role": "tool", "content": "{\"temp\": 21.5}", "name": "get_weather"},
                  {"role": "assistant", "content": "21.5 °C"}, {"role": "user", "content": "Thanks"}],
    "two tool calls": [{"role": "user", "content": "Both?"},
                       {"role": "assistant", "content": "Let me look.", "tool_calls": [CALL, {"name": "now", "arguments": {}}]},
                       {"role": "tool", "content": "sun"}, {"role": "tool", "content": "noon"},
                       {"role": "assistant", "content": None, "tool_calls": [CALL]},
                       {"role": "tool", "content": "rain"}],
    "reasoning": [{"role": "user", "content": "Think."},
                  {"role": "assistant", "content": "Done.", "reasoning_content": "Hmm.\n"},
                  {"role": "user", "content": "Again."},
                  {"role": "assistant", "content": "<think>\nWell\n</think>\n\nYes."}],
    "content parts": [{"role": "user", "content": [{"type": "text", "text": "Look: "}, {"type": "image"}]}],
}

FAMILIES = {
    "chatml": {"special": {"bos_token": "", "eos_token": "<|im_end|>"}, "variables": {}, "template":
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"},
    "llama 2": {"special": {"bos_token": "<s>", "eos_token": "</s>"}, "variables": {}, "template":
        "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
        "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
        "{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
        "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
        "{% if loop.index0 == 0 and system_message != false %}"
        "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
        "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
        "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
        "{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"},
    "llama 3": {"special": {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}, "variables": {}, "template":
        "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + "
        "message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}"
        "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"},
    "llama 3 with tools": {"special": {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
                           "variables": {"tools_in_user_message": False}, "template": '''{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- The system message comes first. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" }}
{%- if tools is not none and not tools_in_user_message %}
    {{- 'Respond in the format {"name": function name, "parameters": dictionary}.' }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("This model only supports single tool-calls at once!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
        {{- '{"name": "' + tool_call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
        {{- "<|eot_id|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable and message.content is not string %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
'''},
    "gemma": {"special": {"bos_token": "<bos>", "eos_token": "<eos>"}, "variables": {}, "template":
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
        "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}"
        "{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"},
    "gemma with parts": {"special": {"bos_token": "<bos>", "eos_token": "<eos>"}, "variables": {}, "template": '''{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '

' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '

' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '
' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<start_of_image>' }}
            {%- elif item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>
' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model
'}}
{%- endif -%}
'''},
    "phi 3": {"special": {"bos_token": "<s>", "eos_token": "<|endoftext|>"}, "variables": {}, "template":
        "{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\n' + message['content'] + '<|end|>\n'}}"
        "{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}"
        "{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"},
    "phi 4 mini": {"special": {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}, "variables": {}, "template":
        "{% for message in messages %}{% if message['role'] == 'system' and 'tools' in message and message['tools'] is not none %}"
        "{{ '<|' + message['role'] + '|>' + message['content'] + '<|tool|>' + message['tools'] + '<|/tool|>' + '<|end|>' }}"
        "{% else %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}"},
    "mistral": {"special": {"bos_token": "<s>", "eos_token": "</s>"}, "variables": {}, "template":
        '''{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}

{#- This block checks for alternating user/assistant messages, skipping tool calling messages #}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, conversation roles must alternate user/assistant/user/assistant/...") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}

{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}
                        {{- ", " }}
                    {%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}
                    {{- ", " }}
                {%- else %}
                    {{- "]" }}
                {%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
            {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id|length != 9 %}
                {{- ', "id": "' ~ loop.index ~ '"}' }}
            {%- endif %}
            {%- if not loop.last %}
                {{- ", " }}
            {%- else %}
                {{- "]" + eos_token }}
            {%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool_results" or message["role"] == "tool" %}
        {%- if message.content is defined and message.content.content is defined %}
            {%- set content = message.content.content %}
        {%- else %}
            {%- set content = message.content %}
        {%- endif %}
        {{- '[TOOL_RESULTS] {"content": ' + content|string + "}[/TOOL_RESULTS]" }}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, with the exception of an initial optional system message!") }}
    {%- endif %}
{%- endfor %}
'''},
    "qwen 3": {"special": {"bos_token": "", "eos_token": "<|im_end|>"}, "variables": {"enable_thinking": False}, "template":
        '''{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- "# Tools\\n\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {%- if loop.last or (not loop.last and reasoning_content) %}
                {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}
                    {{- '\\n' }}
                {%- endif %}
                {%- if tool_call.function %}
                    {%- set tool_call = tool_call.function %}
                {%- endif %}
                {{- '<tool_call>\\n{"name": "' }}
                {{- tool_call.name }}
                {{- '", "arguments": ' }}
                {%- if tool_call.arguments is string %}
                    {{- tool_call.arguments }}
                {%- else %}
                    {{- tool_call.arguments | tojson }}
                {%- endif %}
                {{- '}\\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}'''},
    "smollm 3": {"special": {"bos_token": "", "eos_token": "<|im_end|>"}, "variables": {"xml_tools": []}, "template":
        '''{# ───── defaults ───── #}
{%- if enable_thinking is not defined -%}
{%- set enable_thinking = true -%}
{%- endif -%}
{%- if enable_thinking -%}
  {%- set reasoning_mode = "/think" -%}
{%- else -%}
  {%- set reasoning_mode = "/no_think" -%}
{%- endif -%}
{{- "<|im_start|>system\\n" -}}
{%- if messages[0].role == "system" -%}
  {%- set system_message = messages[0].content -%}
  {%- if "/no_think" in system_message -%}
    {%- set reasoning_mode = "/no_think" -%}
  {%- endif -%}
  {%- set custom_instructions = system_message.replace("/no_think", "").replace("/think", "").rstrip() -%}
{%- endif -%}
{%- set today = strftime_now("%d %B %Y") -%}
{{- "Today Date: " ~ today ~ "\\n" -}}
{{- "Reasoning Mode: " + reasoning_mode + "\\n\\n" -}}
{%- if xml_tools or tools -%}
  {{- "### Tools\\n\\n" -}}
  {%- set ns = namespace(xml_tool_string="<tools>\\n") -%}
  {%- for tool in (xml_tools or tools)[:] -%}
    {%- set ns.xml_tool_string = ns.xml_tool_string ~ (tool | string) ~ "\\n" -%}
  {%- endfor -%}
  {%- set xml_tool_string = ns.xml_tool_string + "</tools>" -%}
  {{- xml_tool_string -}}
{%- endif -%}
{{- "<|im_end|>\\n" -}}
{%- for message in messages -%}
    {%- set content = message.content if message.content is string else "" -%}
    {%- if message.role == "user" -%}
        {{ "<|im_start|>" + message.role + "\\n"  + content + "<|im_end|>\\n" }}
    {%- elif message.role == "assistant" -%}
        {% generation %}
        {%- if reasoning_mode == "/think" -%}
            {{ "<|im_start|>assistant\\n" + content.lstrip("\\n") + "<|im_end|>\\n" }}
        {%- else -%}
            {{ "<|im_start|>assistant\\n" + "<think>\\n\\n</think>\\n" + content.lstrip("\\n") + "<|im_end|>\\n" }}
        {%- endif -%}
        {% endgeneration %}
    {%- elif message.role == "tool" -%}
    {{ "<|im_start|>" + "user\\n"  + content + "<|im_end|>\\n" }}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {%- if reasoning_mode == "/think" -%}
        {{ "<|im_start|>assistant\\n" }}
    {%- else -%}
        {{ "<|im_start|>assistant\\n" + "<think>\\n\\n</think>\\n"  }}
    {%- endif -%}
{%- endif -%}
'''},
    "macros": {"special": {"bos_token": "<bos>", "eos_token": "<eos>"}, "variables": {}, "template":
        '''{%- macro describe(properties, required, level=0) -%}
{%- for key, value in properties | dictsort -%}
{{ "  " * level }}{{ key }}{{ "*" if key in required }}:
{%- if value['type'] is defined %} {{ value['type'] | upper }}{% endif -%}
{%- if value.enum %} one of {{ value.enum | map('tojson') | join(', ') }}{% endif %}
{%- if value.properties is mapping %}
{{ describe(value.properties, value.required or [], level + 1) }}
{%- endif %}
{{ "\\n" }}
{%- endfor -%}
{%- endmacro -%}
{{ bos_token }}
{% for tool in tools or [] %}
## {{ tool.function.name | capitalize }}
{{ tool.function.description | trim }}
{{ describe(tool.function.parameters.properties or {}, tool.function.parameters.required or []) }}
{% else %}
No tools.
{% endfor %}
{% for role, name in [('user', 'Human'), ('assistant', 'AI')] %}
{{ name }}: {{ messages | selectattr('role', 'equalto', role) | map(attribute='content') | select('string') | map('trim') | join(' / ') }}
{% endfor %}
{% for message in messages if message.role not in ['system', 'tool'] %}
{% if loop.length > 3 and loop.revindex > 2 %}{% continue %}{% endif %}
{{ loop.index }}/{{ loop.length }} {{ message.role }}: {{ message.content | default('', true) | string | replace('\\n', ' ') }}
{% if message.content == 'Bye' %}{% break %}{% endif %}
{% endfor %}
{% if add_generation_prompt %}AI:{% endif %}
'''},
}

CONSTRUCT_VARIABLES = {
    "a": 7, "b": -3, "f": 2.5, "t": True, "n": None, "s": "Héllo wörld", "e": "", "pad": " \t\u00a0x y\u3000\n",
    "l": [3, 1, 2], "l0": [], "d": {"k": 1, "items": "shadow", "two words": [True, None, 1.5], "ü": "\"q\" \\ \n\u0007'"},
    "d0": {}, "users": [{"name": "Bob", "age": 3, "in": {"x": 1}}, {"name": "alice", "age": 30}, {"name": "Cy"}],
    "nested": [[1, 2], [3, 4]], "words": ["b", "A", "c", "a", "B"], "big": 9007199254740993, "long": "x-y_z (q) <r>'s st",
    "lines": "one\ntwo\r\nthree\n\nfive", "emoji": "a🎉b", "quote": "it's \"it\"", "tiny": 1e-7, "huge": 1e22, "third": 0.1,
}


def _expressions(*texts):
    return ["{{ " + text + " }}" for text in texts]


CONSTRUCTS = _expressions(
    # literals and printing
    "1", "-1", "+1", "1.0", "1e3", "1.5e-7", "1_000", "100000000000000000.0", "1e16", "123456789.125", "0.0001", "0.00001",
    "true", "True", "false", "none", "None", "'a'", '"a"', "'a' 'b' \"c\"", "'\\n\\t\\x41\\u00e9\\U0001F389\\101\\d\\é'",
    "[]", "[1, 'a', none, true, 1.5]", "(1,)", "()", "(1, 2)", "1, 2", "{}", "{'a': 1, 'b': [2, {'c': none}]}",
    "{1: 2, none: 3, true: 4, 1.5: 5, (1, 2): 6}", "{'a': 1, 'a': 2}", "undefined_name", "[undefined_name]", "d", "l",
    "users", "tools", "messages", "quote", "[quote]", "['\\x00\\x7f\\u200b\\ud7ff', 'é', '\\u00ad', '\\U0001F389']", "huge", "tiny",
    "third", "big", "[huge, tiny, third]", "range(3)", "range(1, 10, 3)", "range(5)|list", "range(5, 0, -2)|list", "d.keys()",
    "d.values()", "{'a': 1}.items()", "namespace(a=1, b='x')", "bos_token + eos_token", "pad_token", "documents", "tools|length",
    # operators
    "a + 1", "a - b", "a * b", "a / 2", "a // 2", "b // 2", "a % 4", "b % 2", "a % b", "-7 // 2", "7 // -2", "-7 % 3", "7.5 // 2",
    "-7.5 // 2", "7.5 % 2", "-7.5 % 2", "7.5 % -2", "2 ** 10", "2 ** 0", "(-1) ** 3", "-2 ** 2", "f * 2", "f + 1", "1 / 3", "1 / 0",
    "1 // 0", "1 % 0", "1.0 / 0", "true + true", "-true", "'a' + 'b'", "'a' + 1", "1 + 'a'", "'a' ~ 1 ~ none ~ [1] ~ 1.5",
    "'ab' * 3", "3 * 'ab'", "'ab' * -1", "[1] * 3", "[1] + [2]", "[1] + (2,)", "(1,) + (2,)", "l + none", "-s", "+'a'",
    "undefined_name + 1", "undefined_name ~ 'x'", "1 + 2 * 3 - 4", "(1 + 2) * 3", "2 * 3 ~ 4", "1 ~ 2 + 3", "10 - 3 - 2",
    # comparison and logic
    "1 == 1.0", "1 == true", "'1' == 1", "none == false", "[1, 2] == [1, 2]", "[1] == (1,)", "{'a': 1, 'b': 2} == {'b': 2, 'a': 1}",
    "1 < 2 < 3", "1 < 3 < 2", "3 > 2 >= 2 != 1", "'a' < 'b'", "'Z' < 'a'", "'a' < 1", "none < 1", "[1, 2] < [1, 3]", "[1] < [1, 0]",
    "big == 9007199254740992.0", "big > 9007199254740992.0", "1 in l", "9 in l", "9 not in l", "'k' in d", "'ll' in s", "1 in s",
    "none in [none]", "undefined_name in l", "1 in undefined_name", "1 in 5", "not t", "not not t", "not 1 == 2", "t and 5",
    "n and 5", "n or 'x'", "0 or '' or []", "1 and 2 or 3", "undefined_name == undefined_other", "undefined_name == none",
    "undefined_name or 'dflt'", "2 in range(3)", "l == l", "'' in ''", "[] in [[]]", "{'a': 1} == {'a': 1.0}",
    # conditional
    "'y' if t else 'n'", "'y' if n else 'n'", "'y' if n", "('y' if n) is defined", "1 if n else 2 if n else 3", "[1 if t else 2, 3]",
    # attributes, elements, slices
    "d.k", "d['k']", "d['two words']", "d['two words'][2]", "d.missing", "d.missing is defined", "d.missing.deeper", "d['items']",
    "l[0]", "l[-1]", "l[5]", "l[-9]", "l['x']", "l[true]", "l.0", "nested.1.0", "s[1]", "s[-1]", "s[99]", "emoji[1]", "emoji[2]",
    "s[1:4]", "s[:3]", "s[-5:]", "s[::-1]", "s[::2]", "s[5:2]", "s[4:1:-1]", "l[1:]", "l[:-1]", "l[::-1]", "l[:]", "l[:99]",
    "l[-99:2]", "emoji[::-1]", "s[::0]", "l['a':]", "d[1:]", "n.x", "n['x']", "5 .x is defined", "(1, 2)[0]", "{'a': {'b': 1}}.a.b",
    "{1: 'x'}[1.0]", "{1: 'x'}[true]", "d[l] is defined", "messages[0].role", "messages[-1]['content']|trim", "messages[1].missing",
    "d.get('k')", "d.get('zz')", "d.get('zz', 5)", "s.nothing is defined", "s.nothing", "users[0].in.x", "undefined_name.x",
    "undefined_name[0]", "undefined_name[1:]", "range(10)[3]", "range(10)[-1]", "range(3)[7] is defined", "s[1.0] is defined",
    # methods
    "s.upper()", "s.lower()", "'hello big-world it\\'s'.title()", "'hELLO wORLD'.capitalize()", "pad.strip()", "pad.lstrip()",
    "pad.rstrip()", "'xxhixx'.strip('x')", "'éaé'.strip('é')", "'abcba'.lstrip('ab')", "s.split()", "'a,b,,c'.split(',')",
    "'a,b,,c'.split(',', 1)", "'a b  c '.split(maxsplit=1)", "' a b  c '.rsplit(none, 1)", "'a,b,c'.rsplit(',', 1)", "''.split()", "''.split(',')",
    "'a'.split('')", "' a\\u00a0b '.split()", "s.startswith('Hé')", "s.endswith('ld')", "s.startswith(('x', 'H'))", "s.endswith('x')",
    "s.replace('l', 'L')", "s.replace('l', 'L', 1)", "'abc'.replace('', '-')", "'abc'.replace('', '-', 2)", "s.replace('zz', '')",
    "','.join(['a', 'b'])", "','.join([1])", "s.find('w')", "s.find('zz')", "s.count('l')", "'aaa'.count('aa')", "'aaa'.count('')", "lines.splitlines()",
    "lines.splitlines(true)", "'prefix-x'.removeprefix('prefix-')", "'x.txt'.removesuffix('.txt')", "d.items()|list", "d0.items()|list",
    "d.keys()|list", "d.values()|list", "s.upper(1)", "s.strip(1)", "s.split(1)", "d.get()", "s()", "n()", "s.startswith(1)",
    "'straße ŉ ﬁ'.upper()", "'İ'.lower()|length", "'ǆ ﬁx'.capitalize()", "'ﬁx'.capitalize()", "d.items()[0] is defined",
    # filters
    "s|upper", "s|lower", "s|capitalize", "long|title", "'straße x'|title", "pad|trim", "'xax'|trim('x')", "5|trim", "n|trim", "undefined_name|trim",
    "s|length", "l|length", "d|length", "e|count", "5|length", "undefined_name|length", "none|length", "l|first", "l0|first", "l|last", "s|first",
    "s|last", "d|first", "d|last", "l0|last is defined", "undefined_name|first is defined", "l|join", "l|join(', ')", "l|join(d=1)", "users|join(',', attribute='name')",
    "users|join(',', 'age')", "5|join", "none|join", "undefined_name|join('x')", "s|join('.')", "d|join(',')", "[none, true, 1.5, [1]]|join(' ')",
    "s|list", "d|list", "l|list", "none|list", "undefined_name|list", "s|string", "5|string", "[1]|string", "none|string|length", "l|reverse|list",
    "s|reverse", "d|reverse|list", "l|sort", "l|sort(reverse=true)", "words|sort", "words|sort(true)", "words|sort(case_sensitive=true)",
    "users|sort(attribute='name')|map(attribute='name')|list", "[1, 'a']|sort", "words|unique|list", "[1, 1.0, true, 2]|unique|list", "l|min", "l|max", "words|max", "l0|min is defined",
    "users|max(attribute='age')", "users[:2]|max(attribute='age')|string", "l|sum", "users[:2]|sum(attribute='age')", "l|sum(start=10)", "['a']|sum", "5|abs", "b|abs", "-2.5|abs", "'x'|abs",
    "'5'|int", "'5.7'|int", "'x'|int", "'x'|int(9)", "' 1_0 '|int", "5.9|int", "-5.9|int", "none|int", "true|int", "'1e2'|int", "''|int", "[]|int",
    "'2.5'|float", "'x'|float", "3|float", "'x'|float(1.5)", "undefined_name|int", "undefined_name|default('x')", "undefined_name|default", "n|default('x')", "n|default('x', true)", "e|d('y', boolean=true)",
    "s|replace('o', '0')", "s|replace('l', 'L', 1)", "5|replace('5', 6)", "s|replace('l')", "d|items|list", "undefined_name|items|list", "l|items|list", "d|dictsort", "{'b': 1, 'A': 2}|dictsort",
    "{'b': 1, 'A': 2}|dictsort(true)", "{'b': 1, 'A': 2}|dictsort(by='value')", "{'b': 1, 'A': 2}|dictsort(reverse=true)", "users|map(attribute='name')|list", "users|map(attribute='in.x')|list",
    "users[:1]|map(attribute='in.x')|list", "users|map(attribute='age', default=0)|list", "users|map('length')|list", "words|map('upper')|join", "words|map('replace', 'a', 'z')|list", "l|map('string')|list",
    "words|map()|list", "l0|map()|list", "nested|map('first')|list", "nested|map(attribute=1)|list", "l|select('odd')|list", "l|reject('odd')|list", "l|select('gt', 1)|list", "l|select|list", "[0, 1, none, 'a']|select|list", "[0, 1, none, 'a']|reject|list",
    "users|selectattr('age')|list|length", "users|selectattr('age', 'defined')|map(attribute='name')|list", "users|rejectattr('age')|map(attribute='name')|list", "users|selectattr('name', 'equalto', 'Cy')|list", "users|selectattr('name', 'in', ['Bob', 'Cy'])|map(attribute='name')|join(' ')",
    "messages|selectattr('role', '==', 'user')|list|length", "messages|rejectattr('role', 'equalto', 'user')|map(attribute='content')|first", "users|selectattr('age', '>', 3)|list", "users|selectattr|list", "l|select('odd')|length", "l|select('odd')|first", "l|select('odd')|last",
    "lines|indent", "lines|indent(2, true)", "lines|indent(2, first=true, blank=true)", "lines|indent('> ')", "''|indent", "5|indent",
    "l|map('string')|map('int')|sum", "s|upper|lower|replace('h', 'j')|length", "[l|length, s|length]|max", "s|trim|length > 3", "-5|abs", "a|string + 'x'", "'%s' % 'x' if n else 1",
    # tojson
    "d|tojson", "l|tojson", "s|tojson", "none|tojson", "true|tojson", "1.0|tojson", "huge|tojson", "(1, 2)|tojson", "{1: 2, none: 3, true: 4, 1.5: 'x'}|tojson", "undefined_name|tojson", "[undefined_name]|tojson",
    "d|tojson(indent=2)", "tools|tojson(indent=4)", "{}|tojson(indent=2)", "[]|tojson(indent=2)", "[[], {}, [1]]|tojson(indent=1)", "l|tojson(indent=0)", "d|tojson(ensure_ascii=true)", "emoji|tojson(true)", "{'b': 1, 'a': 2}|tojson(sort_keys=true)",
    "d|tojson(separators=(',', ':'))", "'\\x00\\x1f\\x7f\\u2028</script>&\\'\"'|tojson", "'\\x7f'|tojson(ensure_ascii=true)", "l|select|tojson", "range(3)|tojson", "namespace(a=1)|tojson", "tools[0].function|tojson|length", "l|tojson(indent='--')",
    # tests
    "a is defined", "zz is defined", "zz is not defined", "zz is undefined", "n is none", "a is not none", "s is string", "l is string", "d is mapping", "l is mapping", "l is iterable", "s is iterable", "5 is iterable",
    "n is iterable", "zz is iterable", "l is sequence", "d is sequence", "s is sequence", "5 is sequence", "zz is sequence", "t is true", "t is false", "1 is true", "false is false", "t is boolean", "1 is boolean", "5 is number", "1.5 is number",
    "t is number", "'5' is number", "5 is integer", "t is integer", "5.0 is integer", "5.0 is float", "5 is odd", "4 is even", "9 is divisibleby 3", "9 is divisibleby(2)", "'a' is odd", "1 is eq 1", "1 is ne 1", "1 is lt 2", "2 is ge(2)", "1 is in [1, 2]", "1 is in(l)", "1 is equalto 1.0",
    "not a is defined", "a is defined and s is string", "a is defined == true", "range is callable", "a is callable", "zz is callable", "d.items is defined", "l|select is iterable", "d.items() is sequence", "d.items() is iterable", "namespace() is mapping", "(1,) is sequence", "range(2) is sequence",
    # globals
    "raise_exception('no')", "strftime_now('%Y-%m-%d %H:%M:%S')", "strftime_now('%d %b %Y')", "strftime_now('%A, %B %e')|length > 3 if n else strftime_now('%A %a %B %y %j %I %p %%')", "strftime_now('%-d.%-m.')",
    "dict(a=1, b=2)", "dict({'x': 1}, y=2)", "namespace({'x': 1}).x", "namespace(x=1).y is defined", "range(3, 1)|list", "range(1, 2, 0)", "range('a')", "range(200000)|length", "range()",
) + [
    # statements
    "{% if a > 5 %}big{% elif a > 2 %}mid{% else %}small{% endif %}", "{% if a < 5 %}big{% elif a > 2 %}mid{% else %}small{% endif %}",
    "{% if n %}x{% elif e %}y{% else %}z{% endif %}", "{% if n %}x{% endif %}", "{% for x in l %}{{ x }}{% endfor %}",
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }} {% endfor %}",
    "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}", "{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for x in l0 %}x{% else %}none{% endfor %}",
    "{% for x in l if x > 1 %}{{ x }}{{ loop.last }}{{ loop.length }} {% endfor %}", "{% for x in l if x > 9 %}{{ x }}{% else %}no{% endfor %}", "{% for x in zz %}x{% else %}undefined{% endfor %}", "{% for x in n %}x{% endfor %}", "{% for x in 5 %}x{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in d|items %}{{ k }};{% endfor %}", "{% for k in d %}{{ k }};{% endfor %}", "{% for (x, y) in nested %}{{ x }}{{ y }};{% endfor %}", "{% for x, (y, z) in [(1, (2, 3))] %}{{ x }}{{ y }}{{ z }}{% endfor %}",
    "{% for x, y in l %}x{% endfor %}", "{% for x, y in [[1, 2, 3]] %}x{% endfor %}", "{% for c in 'aé🎉' %}[{{ c }}]{% endfor %}", "{% for x in range(3) %}{{ x }}{% endfor %}", "{% for x in l[::-1] %}{{ x }}{% endfor %}", "{% for x in 1, 2, 3 %}{{ x }}{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% else %}e{% endfor %}", "{% for x in l %}{% for y in l %}{{ x * y }}{% if loop.index > 1 %}{% break %}{% endif %}{% endfor %};{{ loop.index }}{% endfor %}",
    "{% break %}", "{% for x in l %}{% set y = x %}{% endfor %}{{ y is defined }}", "{% set y = 0 %}{% for x in l %}{% set y = y + x %}{{ y }}{% endfor %}{{ y }}", "{% set ns = namespace(y=0) %}{% for x in l %}{% set ns.y = ns.y + x %}{% endfor %}{{ ns.y }}",
    "{% set ns = namespace(found=false) %}{% for x in l if not ns.found %}{{ x }}{% set ns.found = true %}{% endfor %}", "{% set g = l|select %}{% for x in g %}{{ x }}{% break %}{% endfor %}{% for x in g %}{{ x }}{% endfor %}{{ g|list }}",
    "{% set g = words|map('upper') %}{{ g|join }}{{ g|join }}{{ g is defined }}{{ 'x' if g }}", "{% set g = l|select %}{{ 3 in g }}{{ g|list }}", "{% for x in l|select('odd') %}{{ x }}{{ loop.length }}{% endfor %}",
    "{% set x = 1 %}{{ x }}{% set x = x + 1 %}{{ x }}", "{% set x, y = 1, 2 %}{{ x }}{{ y }}", "{% set x = 1, 2 %}{{ x }}", "{% set (x, y) = l[:2] %}{{ x }}{{ y }}", "{% set x, y = l %}", "{% set ns = namespace() %}{% set ns.a, ns.b = 1, 2 %}{{ ns.a }}{{ ns.b }}",
    "{% set d.x = 1 %}", "{% set zz.x = 1 %}", "{% set x %}a{{ a }}b{% endset %}[{{ x }}]", "{% set x | upper | trim %} a{{ s }} {% endset %}[{{ x }}]", "{% set x %}{% set q = 1 %}{% endset %}{{ q is defined }}", "{% set ns = namespace() %}{% set ns.x %}t{% endset %}{{ ns.x }}",
    "{% if t %}{% set x = 5 %}{% endif %}{{ x }}", "{% if n %}{% set x = 5 %}{% endif %}{{ x is defined }}", "{% with x = 1, y = a %}{{ x }}{{ y }}{% endwith %}{{ x is defined }}", "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q is defined }}", "{% set x = 1 %}{% with x = 2, y = x %}{{ y }}{% endwith %}",
    "{% filter upper %}a{{ s }}b{% endfilter %}", "{% filter trim | upper | replace('A', '4') %} aba {% endfilter %}", "{% generation %}x{{ a }}{% set q = 1 %}{% endgeneration %}{{ q is defined }}", "{% for x in l %}{% generation %}{{ loop.index }}{{ x }}{% endgeneration %}{% endfor %}",
    "{% macro m(x, y=2) %}<{{ x }}{{ y }}>{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(y=4, x=5) }}{{ m() }}", "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(z=2) }}", "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(1, x=2) }}",
    "{% macro m(x, y=x) %}{{ y }}{% endmacro %}{{ m(1) }}", "{% macro m(x) %}{% if x > 0 %}{{ x }}{{ m(x - 1) }}{% endif %}{% endmacro %}{{ m(5) }}", "{% macro m() %}{{ a }}{{ q }}{% endmacro %}{% set q = 'late' %}{{ m() }}", "{% for x in l %}{% macro m() %}{{ x }}{{ loop is defined }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% macro m(x, y=1, z) %}{% endmacro %}", "{{ m() }}{% macro m() %}{% endmacro %}", "{% macro m() %} a {% endmacro %}[{{ m()|trim }}]{{ m is defined }}{{ m is callable }}", "{% macro m(l) %}{% for x in l %}{{ x }}{% endfor %}{% endmacro %}{{ m([1, 2]) ~ '!' }}",
    "{% set loop = 1 %}{{ loop }}", "{% for x in l %}{% set loop = 1 %}{% endfor %}", "{% set true = 1 %}", "{% set 1 = 1 %}", "{% set messages = messages[1:] %}{{ messages|length }}", "{% set range = 5 %}{{ range }}",
    "{% for x in nested %}{% for y in x %}{{ loop.index }}{{ y }}{% endfor %}{{ loop.index }}{% endfor %}", "{% for x in l %}{% for y in l if loop.index == 1 %}{{ y }}{% endfor %}|{% endfor %}", "{% for x in l %}{{ x }}{% set a = x %}{{ a }}{% endfor %}{{ a }}",
    "{% raw %}{{ x }}{% if %}{% endraw %}|", "{%- raw -%} a {%- endraw -%} |", "a\n  {% raw %}\n b {% endraw %}\nc", "{# comment {{ x }} #}a", "a {#- c -#} b", "a\n  {# c #}\nb", "a\n  {#+ c +#}\nb", "{# unfinished", "{% raw %} unfinished", "{{ 'unfinished", "{{ 1", "{% if t %}", "{% if t %}{% endfor %}", "{% endif %}",
    "{% for x in l %}", "{% else %}", "{{ }}", "{{ 1 + }}", "{{ (1 }}", "{{ 1) }}", "{{ [1 }}", "{{ a b }}", "{{ 'a' if }}", "{{ x is }}", "{{ x | }}", "{{ 1 = 2 }}", "{{ a. }}", "{{ a is defined is true }}", "{{ $ }}", "{{ a ! b }}", "{% %}", "{% 5 %}", "{% set %}", "{% for %}", "{% for x l %}{% endfor %}", "{{ f(a=1, 2) }}", "{{ {1, 2} }}", "{% if n %}{{ {[]: 1} }}{% endif %}", "{{ 012 }}", "}} %} #} { % {",
    # where a variable lives
    "{% for x in [1] %}{{ l }}{% endfor %}{% set l = 1 %}{{ l }}", "{{ l }}{% for x in [1] %}{{ l }}{% endfor %}{% set l = 1 %}{{ l }}",
    "{% for x in [1] %}{{ l }}{% endfor %}{% if 1 %}{% set l = 1 %}{% endif %}{{ l }}", "{% for x in [1] %}{{ l }}{% endfor %}{% if n %}{% set l = 1 %}{% endif %}{{ l }}",
    "{% for x in [1, 2] %}{% for y in [1] %}{{ l }}{% endfor %}{% set l = x %}{{ l }}{% endfor %}", "{% if n %}{{ l }}{% endif %}{% for x in [1] %}{{ l }}{% endfor %}{% set l = 1 %}",
    "{% if n %}{% elif l %}{% endif %}{% for x in [1] %}{{ l }}{% endfor %}{% set l = 1 %}", "{% if n %}{% set l = 2 %}{% else %}{{ l }}{% endif %}{% for x in [1] %}{{ l }}{% endfor %}{% set l = 1 %}",
    "{% macro m() %}{{ l }}{% endmacro %}{{ m() }}{% set l = 1 %}{{ m() }}", "{% macro m() %}{{ l }}{% set l = 2 %}{% endmacro %}{{ m() }}", "{% if 1 %}{% for x in [1] %}{{ l }}{% endfor %}{% set l = 1 %}{% endif %}{{ l }}",
    "{% set q %}{{ l }}{% endset %}{{ q }}{% set l = 1 %}", "{% generation %}{{ l }}{% endgeneration %}{% set l = 1 %}", "{% for x in [1] %}{{ l }}{% endfor %}{% set l = l %}{{ l }}", "{% with %}{{ l }}{% endwith %}{% set l %}1{% endset %}{{ l }}",
    "{% filter upper %}{{ s }}{% endfilter %}{% set s = 1 %}", "{% for x in [1] %}{{ m is defined }}{% endfor %}{% macro m() %}{% endmacro %}{{ m is defined }}", "{% for l in [1] %}{{ l }}{% endfor %}{{ l }}", "{% for x in l %}{{ a }}{% else %}{{ a }}{% set a = 1 %}{% endfor %}{% set a = 2 %}",
    "{% for x in [1] %}{{ range(2)|list if range }}{% endfor %}{% set range = 1 %}", "{% set ns = namespace(x=1) %}{% for x in [1] %}{{ ns.x }}{% endfor %}{% set ns.x = 2 %}{{ ns.x }}",
    # white space
    "a\n{% if t %}\nb\n{% endif %}\nc\n", "a\n  {% if t %}  \n  b\n  {% endif %}\nc", "a  {% if t %} b {% endif %}  c", "a\n {%- if t %}\n b\n {%- endif %}\n c", "a\n {% if t -%}\n b\n {% endif -%}\n c", "  {{ a }}\n  {{ a }}\n", "  {{- a }}\n  {{ a -}}  \n b", "a\n  {%+ if t %}\n b{% endif %}",
    "{% if t +%}\nx{% endif %}", "\n\na\n\n", "a\n\n", "\n", "", " ", "{{ a }}\n{{ a }}\n", "a\r\nb\rc\r\n", "{% if t %}\r\nx{% endif %}\r\n", "\t{% if t %}\tx{% endif %}", "x {% if t %}\n  y\n  {% endif %} z", "\u3000{% if t %}x{% endif %}", "\u00a0{%- if t %}x{% endif -%}\u2003y", "{%if t%}x{%endif%}", "{{a}}{{-a}}{{- a -}}", "{{ a\n+\n1 }}",
    "{%- for x in l -%} {{ x }} {%- endfor -%} .", "{{ '}}' }}{{ \"%}\" }}", "{{ {'a': {'b': 1}} }}", "{{{'a': 1}}}", "{% set x = {'a': {'b': 1}} %}{{ x.a.b }}", "a\n    {%- set x = 1 %}\n    {{- x }}\n", "{% if t %}{# c #}\nx\n{% endif %}\n", "{#- a -#}\n\n b\n{#- c #}", "{% if t: %}x{% endif %}", "a{{ '\n' }}b\n",
]

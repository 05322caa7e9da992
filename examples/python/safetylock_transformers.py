"""A lock on a transformers model: `with apply(model, "base.lock.safetensors"): model.generate(...)`.

By default each locked layer gets a hook that adds the lock to the input of o_proj: it needs no room for a bias, and adapters
on o_proj see it as well. With method="bias" the lock becomes o_proj.bias, computed in double: no hook runs, save_pretrained
would write it, and torch.compile sees an ordinary model. remove() undoes either.

A lock with a gate acts on the requests that open it: model.generate(...) first reads each prompt without the lock, and prompts that
open the gate are answered as under an unconditional lock, the others as by the unlocked model. Gates that read more than the last
token need to know where the user's message is: `generate(**encode(tokenizer, chats))`. Whatever cannot be read is locked, and so
is a plain forward pass, which does not say where its prompts end. conditional=False passes the gate over.

A gate of replies reads how model.generate would begin the replies to the others (with beams or several replies a prompt: the likeliest
beginning), and has those that open it answered under the lock. reread=False passes it over.
"""
import contextlib
import hashlib

import numpy as np
import torch

import safetylock_file
from safetylock_file import REPLY_TOKENS, LockError


def apply(model, lock, alpha=None, method="hook", conditional=True, threshold=None, reread=True, reread_threshold=None):
    """Locks `model` until remove() or the end of a with block. `lock`: a path or a SafetyLock; `alpha`: a strength, or the
    lock's own; `threshold`, `reread_threshold`: of its gates, or the lock's own. Refuses a lock of another model, and a second lock on
    the same one."""
    if isinstance(lock, (str, bytes)) or hasattr(lock, "__fspath__"):
        lock = safetylock_file.load(lock)
    if method not in ("hook", "bias"):
        raise ValueError(f'method has to be "hook" or "bias", not {method!r}')
    check_fits(lock, model)
    lock.strength(alpha)
    gate = GateReader(model, lock, threshold, reread, reread_threshold) if lock.gate is not None and conditional else None
    if gate is not None and method == "bias":
        raise LockError('a bias acts on every request: use method="hook", or conditional=False')
    projections = o_projections(model, lock.locked_layers(), lock)
    if getattr(model, "_safetylock", None) is not None:
        raise LockError("the model is locked already; remove that lock first")
    applied = Applied(model, [add_hook(p, lock.displacement(i, alpha), gate) for i, p in projections.items()]
                      if method == "hook" else add_biases(projections, lock, alpha), gate)
    model._safetylock = applied
    return applied


class Applied:
    """What apply() did to a model. `gate`: its reader, with what it read in the last call of generate, or None."""

    def __init__(self, model, undo, gate=None):
        self._model, self._undo, self.gate = model, list(undo), gate
        if gate is not None:
            self._undo.append(gate.wrap_generate())

    def remove(self):
        for undo in self._undo:
            undo()
        if self._undo:
            self._model._safetylock = None
        self._undo = []

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.remove()


class GateReader:
    """Asks a lock's gate about the prompts of model.generate and holds what it says for the reply."""

    def __init__(self, model, lock, threshold=None, reread=True, reread_threshold=None):
        self.model, self.lock, self.threshold, self.reread_threshold = model, lock, threshold, reread_threshold
        self.shares = None  # of the lock's strength, a prompt each, while generate runs; None: all in full
        self.scores = []  # log-odds of the last prompts
        self.reply_scores = []  # the largest of their replies; None where nothing was asked
        self.reading = False
        self.reply_gate = lock.reply_gate if reread else None

    def wrap_generate(self):
        own = self.model.generate

        def generate(*args, places=None, **kwargs):
            ids = kwargs.get("input_ids", kwargs.get("inputs", args[0] if args else None))
            self.scores = self.read(ids, kwargs.get("attention_mask"), places)
            shares = [self.lock.gate.share(score, self.threshold) for score in self.scores]
            self.reply_scores = [None] * len(shares)
            try:
                if self.reply_gate is not None and not all(shares):
                    self.shares = shares
                    self.reread(own, args, kwargs, ids.shape[1])
                    shares = [max(share, self.reply_gate.share(score, self.reread_threshold)) if score is not None else share
                              for share, score in zip(shares, self.reply_scores)]
                self.shares = shares
                return own(*args, **kwargs)
            finally:
                self.shares = None

        self.model.generate = generate

        def undo():
            del self.model.generate

        return undo

    @torch.no_grad()
    def read(self, ids, mask=None, places=None):
        """Log-odds of each prompt of `ids` [B, T], padded on the left or not at all; not a number where a position is unknown.
        `places`: (first, one past the last) token of the user's message in each row."""
        if ids is None:
            raise LockError("the gate reads input_ids; embeddings have none")
        gate, dim = self.lock.gate, self.lock.size("head_dim")
        scores = torch.full((len(ids),), gate.bias, dtype=torch.float64)

        def add(layer, values):
            for k in np.flatnonzero(gate.layers == layer):
                at = int(gate.heads[k]) * dim
                weights = torch.from_numpy(gate.weights[k]).double()
                for row in range(len(ids)):
                    begin, end = self.tokens(int(gate.positions[k]), ids.shape[1], places[row] if places else None)
                    # The mean of no rows is not a number, and so is the score then.
                    mean = values[row, begin:end, at : at + dim].cpu().double().mean(0)
                    scores[row] += mean @ weights

        self.reading = True
        try:
            with self.watching(gate, add):
                base_of(self.model)(input_ids=ids, attention_mask=mask, use_cache=False)
        finally:
            self.reading = False
        return scores.tolist()

    @contextlib.contextmanager
    def watching(self, gate, see):
        """Shows `see(layer, values)` the input of each o_proj that `gate` reads."""
        projections = o_projections(self.model, sorted(set(gate.layers.tolist())), self.lock)
        hooks = [p.register_forward_pre_hook(lambda _, args, layer=i: see(layer, args[0])) for i, p in projections.items()]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def reread(self, own, args, kwargs, prompt_length):
        """Fills reply_scores where the lock is off: the largest log-odds over the first tokens of the reply that is about to be
        given, of the mean over those so far."""
        gate, dim = self.reply_gate, self.lock.size("head_dim")
        last = int(gate.layers.max())
        steps, scores = [], torch.zeros(len(self.shares), dtype=torch.float64)

        def add(layer, values):  # of the last token: the prompt's in the first pass, then one of the reply in each
            for k in np.flatnonzero(gate.layers == layer):
                at = int(gate.heads[k]) * dim
                scores.add_(values[:, -1, at : at + dim].cpu().double() @ torch.from_numpy(gate.weights[k]).double())
            if layer == last:
                steps.append(scores + gate.bias)
                scores.zero_()

        config = kwargs.get("generation_config") or self.model.generation_config
        longest = min(kwargs.get("max_new_tokens") or config.max_new_tokens or REPLY_TOKENS + 1, REPLY_TOKENS + 1)
        options = {k: v for k, v in kwargs.items() if k not in ("streamer", "max_length")}
        options |= {"max_new_tokens": longest, "num_beams": 1, "num_return_sequences": 1, "return_dict_in_generate": False}
        with torch.random.fork_rng(), self.watching(gate, add):
            replies = own(*args, **options)[:, prompt_length:].tolist()
        ends = kwargs.get("eos_token_id", config.eos_token_id)
        ends = set(ends if isinstance(ends, (list, tuple)) else [ends])
        for row, (share, reply) in enumerate(zip(self.shares, replies)):
            length = next((t for t, token in enumerate(reply) if token in ends), len(reply))
            read = torch.tensor([step[row] for step in steps[1 : 1 + min(length, REPLY_TOKENS)]], dtype=torch.float64)
            if share == 0 and len(read) > 0:
                means = read.cumsum(0) / torch.arange(1, len(read) + 1)
                self.reply_scores[row] = float(means.max())  # not a number if any is not

    @staticmethod
    def tokens(position, length, message):
        """Of a row: from the first to one past the last; none where they are not known."""
        name = safetylock_file.POSITIONS[position]
        if name == "last_token":
            return length - 1, length
        if message is None:
            return 0, 0
        begin, end = message
        return {"message": (begin, end), "message_end": (end, min(end + 1, length)), "template_tail": (end, length)}[name]

    def rows(self, batch):
        """A strength for each row of a pass, or None where all have the whole: beams and several replies a prompt stand together."""
        if self.reading:
            return [0.0] * batch
        if self.shares is None:
            return None
        if batch % len(self.shares):
            return None  # not the prompts that were read
        return [share for share in self.shares for _ in range(batch // len(self.shares))]


def encode(tokenizer, chats, **options):
    """Chats (lists of messages) as model.generate takes them, with `places`: where the last message of the user is."""
    texts = [tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False, **options) for chat in chats]
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    inputs = tokenizer(texts, add_special_tokens=False, return_tensors="pt", padding=True, return_offsets_mapping=True)
    places = []
    for row, (chat, text) in enumerate(zip(chats, texts)):
        content = next(m["content"] for m in reversed(chat) if m["role"] == "user").strip()
        begin = text.rfind(content)
        inside = [t for t, (a, b) in enumerate(inputs["offset_mapping"][row].tolist())
                  if inputs["attention_mask"][row, t] and a < begin + len(content) and b > begin]
        places.append((inside[0], inside[-1] + 1) if begin >= 0 and inside else None)
    return {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"], "places": places}


def text_config(model):
    return model.config.get_text_config()


def check_fits(lock, model):
    config = text_config(model)
    heads = config.num_attention_heads
    sizes = {"layers": config.num_hidden_layers, "heads": heads, "kv_heads": getattr(config, "num_key_value_heads", None) or heads,
             "head_dim": head_dim(config), "hidden_size": config.hidden_size}
    lock.check_fits(type(base_of(model)).__name__, sizes, config_digest(type(base_of(model)).__name__, config))


def head_dim(config):
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def config_digest(architecture, config):
    """SHA-256 of what decides whether two models are one family: a model and its fine-tunes have the same."""
    def number(value):  # float32, spelled as C++ spells it
        digits, _, exponent = np.format_float_scientific(np.float32(value), trim="-").partition("e")
        plain = np.format_float_positional(np.float32(value), trim="-")
        short = f"{digits}e{'-' if exponent[0] == '-' else '+'}{abs(int(exponent)):02d}"
        return plain if len(plain) <= len(short) else short

    rope = dict(config.rope_parameters)
    local = rope.get("sliding_attention", {}).get("rope_theta")
    rope = rope.get("full_attention", rope)
    kind = rope.get("rope_type", "default")
    dim = head_dim(config)
    rotary = int(dim * rope.get("partial_rotary_factor", 1.0))
    text = (f"{architecture} num_hidden_layers={config.num_hidden_layers} hidden_size={config.hidden_size}"
            f" intermediate_size={config.intermediate_size} num_attention_heads={config.num_attention_heads}"
            f" num_key_value_heads={config.num_key_value_heads} head_dim={dim} rope_theta={number(rope['rope_theta'])}"
            f" rope_scaling={'none' if kind == 'default' else kind}")
    text += f" rotary_dim={rotary}" if rotary != dim else ""
    text += f" rope_local_base_freq={number(local)}" if local else ""
    return hashlib.sha256(text.encode()).hexdigest()


def base_of(model):
    """The model below PEFT's wrapper."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def o_projections(model, wanted, lock):
    """layer -> its o_proj, for the layers `wanted`. An adapter's wrapper counts as the o_proj."""
    layers = base_of(model).get_decoder().layers
    found = {i: layers[i].self_attn.o_proj for i in wanted}
    for i, projection in found.items():
        features = getattr(projection, "in_features", None)
        if features is not None and features != lock.size("heads") * lock.size("head_dim"):
            raise LockError(f"o_proj of layer {i} takes {features} values, the lock has {lock.size('heads')} heads of "
                            f"{lock.size('head_dim')}")
    return found


def add_hook(projection, displacement, gate=None):
    vector = torch.from_numpy(displacement)
    held = {}  # (device, dtype) -> the vector there

    def add(_, args):
        key = (args[0].device, args[0].dtype)
        if key not in held:
            held[key] = vector.to(device=key[0], dtype=key[1])
        shares = gate.rows(len(args[0])) if gate is not None else None
        if shares is None:
            return (args[0] + held[key], *args[1:])
        if not any(shares):
            return None
        rows = torch.tensor(shares, device=key[0], dtype=torch.float64)[:, None, None] * vector.to(key[0])
        return (args[0] + rows.to(key[1]), *args[1:])

    return projection.register_forward_pre_hook(add).remove


def add_biases(projections, lock, alpha):
    for i, projection in projections.items():  # all are checked before the first is changed
        if type(projection) is not torch.nn.Linear or projection.weight.is_meta:
            raise LockError(f"o_proj of layer {i} is {type(projection).__name__}, not a plain linear layer: an adapter or "
                            'quantised weights are there. Merge the adapter first, or use method="hook"')
    return [set_bias(p, lock.output_bias(i, p.weight.detach().cpu().float().numpy(), alpha)) for i, p in projections.items()]


def set_bias(projection, bias):
    before = projection.bias
    total = torch.from_numpy(bias)
    if before is not None:
        total = total + before.detach().cpu().double()
    weight = projection.weight
    projection.bias = torch.nn.Parameter(total.to(device=weight.device, dtype=weight.dtype), requires_grad=False)

    def undo():
        projection.bias = before

    return undo

"""How much a model of Anthropic's thinks before it answers."""

from serve_app.core.notices import Notice
from serve_app.core.text.chat import Chat, ReasoningEffort
from serve_app.upstreams.anthropic_messages import Object
from serve_app.upstreams.claude_models import ClaudeModel

BUDGETS: dict[ReasoningEffort, int] = {"low": 2048, "medium": 8192, "high": 16_384}
USUAL_BUDGET = BUDGETS["medium"]
MORE_EFFORTS = ("xhigh", "max")
"""Which models of this server do not know."""
LEAST_BUDGET = 1024
"""The API takes no fewer."""


def thinking_fields(
    operation: Chat,
    model: ClaudeModel,
    max_tokens: int,
    has_forgotten: bool,
    left_out: list[Notice],
) -> Object:
    """`thinking`, and for later models the effort in `output_config`. `max_tokens` are for thoughts
    and answer together. `has_forgotten` where it goes on after calls, and nobody has sent back what
    it thought before them.
    """
    effort = operation.reasoning_effort
    if effort == "none" or not (operation.thinking or effort):
        return {}
    problem, budget = None, min(BUDGETS.get(effort or "medium", USUAL_BUDGET), max_tokens // 2)
    if operation.tools and operation.tool_choice.mode in ("required", "function"):
        problem = "models do not think before a call that has to be made"
    elif model.thinks_by_budget and has_forgotten:
        problem = "the model does not think after its calls unless it gets 'reasoning_details' back"
    elif model.thinks_by_budget and budget < LEAST_BUDGET:
        problem = f"thinking needs a 'max_tokens' of {2 * LEAST_BUDGET} or more"
    if problem is not None:
        left_out.append(Notice(text=problem, field="reasoning_effort" if effort else "thinking"))
        return {}
    if model.thinks_by_budget:
        return {"thinking": {"type": "enabled", "budget_tokens": budget}}
    # Without `display`, later models think without a word.
    fields: Object = {"thinking": {"type": "adaptive", "display": "summarized"}}
    sent = operation.extra.get("reasoning_effort")
    told = sent if sent in MORE_EFFORTS else effort
    return fields | ({"output_config": {"effort": told}} if told else {})

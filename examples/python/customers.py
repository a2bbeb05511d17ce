"""What each customer ordered and spent, and who has become a regular.

Reads how orders end. The entity is the customer; its state, as JSON, counts
the orders by how they ended and adds up what was spent. With the third order
that was confirmed, `customer.regular` is emitted, once.

The class has the name of the interface that it implements, `handler` of
`wit/handler.wit`; componentize-py makes the modules imported here from `wit/`.
"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import log
from wit_world.imports.types import (
    Effects,
    Emission,
    Event,
    Failure_Reject,
    Problem,
    StateChange_Keep,
    StateChange_Put,
)

ENDS = {
    "order.confirmed": "confirmed",
    "order.rejected": "rejected",
    "order.cancelled": "cancelled",
}
REGULAR_FROM = 3


class Handler(exports.Handler):
    """The component's one export."""

    def handle(self, event: Event, data: bytes, state: bytes | None) -> Effects:
        end = ENDS.get(event.event_type)
        if end is None:
            return Effects(emit=[], state=StateChange_Keep(), timers=[])
        customer = stored(state)
        customer["orders"][end] += 1
        emit = []
        if end == "confirmed":
            currency, amount = paid(data)
            spent = customer["spent"]
            spent[currency] = spent.get(currency, 0) + amount
            if customer["orders"]["confirmed"] == REGULAR_FROM:
                log.write(log.Level.INFO, "a customer has become a regular", [])
                emit.append(regular(customer))
        return Effects(emit=emit, state=StateChange_Put(encoded(customer)), timers=[])


def stored(state: bytes | None) -> dict:
    """What is known of the customer. State that is not JSON raises, which traps:
    a fault of this version, and better than to begin to count anew."""
    if state is None:
        return {"orders": dict.fromkeys(ENDS.values(), 0), "spent": {}}
    return json.loads(state)


def paid(data: bytes) -> tuple[str, int]:
    """Currency and amount, in minor units, of an order. Whatever else the data
    are can never be handled, so that it is rejected and not tried again."""
    try:
        order = json.loads(data)
        currency, amount = order["currency"], order["amount"]
        if not isinstance(currency, str) or type(amount) is not int or amount < 0:
            raise ValueError("currency and amount are not those of an order")
        return currency, amount
    except (ValueError, KeyError, TypeError) as error:
        message = f"{type(error).__name__}: {error}"
        raise Err(Failure_Reject(Problem("undecodable", message, None))) from error


def regular(customer: dict) -> Emission:
    """The news, for the customer's own key."""
    return Emission(
        event_type="customer.regular",
        key=None,
        content_type=None,
        attributes=[],
        data=encoded(customer),
    )


def encoded(value: dict) -> bytes:
    """As compact JSON, the same bytes for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

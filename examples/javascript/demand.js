// What of each SKU was asked for, and what came of it.
//
// Reads what orders ask of the inventory, and what it refuses. The entity is the
// SKU; its state, as JSON, counts pieces: asked = sold + missed + returned +
// those of open requests. With the tenth piece that was missed since the last
// delivery, `restock.wanted` is emitted, once.
//
// `handle` is the one function of the interface `handler` of `wit/handler.wit`,
// under which it is exported; componentize-js makes the import from `wit/`.
import { write as log } from "wharf:handler/log@0.1.0";

const WANTED_FROM = 10;

export const handler = {
  handle(event, data, state) {
    try {
      return handle(event, data, state);
    } catch (error) {
      // It traps all the same; the engine would not say where it came from.
      if (error instanceof Error) console.error(error.stack);
      throw error;
    }
  },
};

function handle(event, data, state) {
  const step = STEPS[event.eventType];
  if (step === undefined) {
    return { emit: [], state: { tag: "keep" }, timers: [] };
  }
  const demand = stored(state);
  const before = demand.missedLately;
  step(demand, decoded(data), event);
  const emit = [];
  if (before < WANTED_FROM && demand.missedLately >= WANTED_FROM) {
    log("info", "a SKU is wanted", [["pieces", String(demand.missedLately)]]);
    emit.push(wanted(demand));
  }
  return { emit, state: { tag: "put", val: encoded(demand) }, timers: [] };
}

// What each type of event does to the demand for a SKU.
const STEPS = {
  "inventory.stocked": (demand) => {
    demand.missedLately = 0;
  },
  "inventory.reserve": (demand, { order, qty }) => {
    if (typeof order !== "string" || !Number.isSafeInteger(qty) || qty < 0) {
      throw rejected("order and qty are not those of a request");
    }
    demand.asked += qty;
    demand.open[order] = qty;
  },
  "inventory.commit": (demand, { order }) => {
    demand.sold += closed(demand, order);
  },
  "inventory.release": (demand, { order }) => {
    demand.returned += closed(demand, order);
  },
  "order.stock-refused": (demand, _refused, event) => {
    const order = decodeURIComponent(event.subject.split(".")[2]);
    const pieces = closed(demand, order);
    demand.missed += pieces;
    demand.missedLately += pieces;
  },
};

// The pieces of an open request, which ends here; none when it has ended before,
// as when a release is ahead of the refusal.
function closed(demand, order) {
  const pieces = demand.open[order] ?? 0;
  delete demand.open[order];
  return pieces;
}

// What is known of the SKU. State that is not JSON throws an `Error`, which traps:
// a fault of this version, and better than to begin to count anew.
function stored(state) {
  if (state === undefined) {
    return { asked: 0, sold: 0, missed: 0, missedLately: 0, returned: 0, open: {} };
  }
  return JSON.parse(new TextDecoder().decode(state));
}

// The event's data. What is no JSON object can never be handled, so that it is
// rejected and not tried again.
function decoded(data) {
  let value;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data));
  } catch (error) {
    throw rejected(error.message);
  }
  if (typeof value !== "object" || value === null) {
    throw rejected("the data are no JSON object");
  }
  return value;
}

// A failure of the contract: a plain value that is thrown, where an `Error` traps.
function rejected(message) {
  return { tag: "reject", val: { code: "undecodable", message } };
}

// The news, for the SKU's own key.
function wanted(demand) {
  const data = encoded({ missed: demand.missedLately });
  return { eventType: "restock.wanted", attributes: [], data };
}

function encoded(value) {
  return new TextEncoder().encode(JSON.stringify(value));
}

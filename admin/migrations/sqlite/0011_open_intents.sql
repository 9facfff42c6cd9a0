-- What a destination does not have yet, or of which something is said. It is a small part of all, so
-- that whoever compares windows need not read each intent, body and all, to learn its state.
CREATE INDEX sending_intent_open ON sending_intent (destination, id)
    WHERE state <> 'settled' AND (state <> 'acknowledged' OR reason IS NOT NULL);

"""The recogniser: a small language model that finds persons and postal addresses by their context.

An extra (`tocsin-names`), which an operator may install.  It only makes the hub ask an
analyst; the rules of `detectors/` mask what they are sure of, with it and without it.

- `passages.py`: the parts of a text that are worth reading;
- `wordpiece.py`, `program.py`: the model, in a bounded process of its own.  They must not import
  the rest of `admission`, or every such process would load it;
- `spans.py`: from the model's figures to persons and addresses, without what is known to be
  something else;
- `recogniser.py`: all of it together, with a memory.
"""

"""The verb ``compare``: build both sides of a case, measure, record, judge, report."""

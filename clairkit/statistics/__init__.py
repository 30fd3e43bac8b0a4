"""Compute an evaluation's statistics: pure functions of scores, without files or models.

| module | what it answers |
|---|---|
| `win_rate` | how often the candidate wins, over orders and judges; position bias; the unparsed |
| `length_control` | how often it would win at equal length (`length_model` fits it) |
| `bradley_terry` | the Elo of three models or more |
| `prediction_powered` | people on a few prompts and a judge on many: PPI++ |
| `e_process` | may one stop voting: evidence that can be looked at after each vote |
| `change` | how far right answers by prompt, or means by arm, have moved |
| `guards` | what must not get worse: non-inferiority with Holm's correction |
| `utility` | KPIs in minimal important differences, their weighted sum, break-even |
| `seeds` | is the change larger than the spread between training seeds |
| `sample_size` | how many more prompts or labels |
| `reliability` | agreement of raters: Krippendorff's alpha, Cohen's kappa, self-consistency |
| `number_cells` | numbers as people write them in a spreadsheet |
| `estimates`, `clusters` | what all return; sandwich variance and bootstrap draws by cluster |

Nothing is imported here, so that a command that needs one of them does not load the others.
"""

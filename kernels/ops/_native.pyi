def variant_names() -> tuple[str, ...]: ...
def tile_pass(
    tile: int,
    bias: int,
    targets: int,
    shift: int,
    logps: int,
    factors: int,
    sums: int,
    columns: int,
    softcap: float,
    scale: float,
    first: int,
    end: int,
    half: bool,
    gradient: bool,
    variant: int,
    /,
) -> None: ...

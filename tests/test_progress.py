import io

from simulator.progress import NotedProgress, PlainProgress, RichProgress, make_progress


def test_lines_are_few(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("simulator.progress.time.monotonic", lambda: clock[0])
    stream = io.StringIO()
    progress = PlainProgress(stream, quiet_s=5.0)
    progress.stage("training")
    progress.total(100)
    for number in range(100):
        clock[0] += 0.2
        progress.advance(f"task {number + 1}")
    progress.line("a remark")
    progress.stage("testing")
    progress.close()
    assert stream.getvalue().splitlines() == [
        "training",
        "25/100 task 25, about 15 s left",
        "50/100 task 50, about 10 s left",
        "75/100 task 75, about 5 s left",
        "100/100 task 100",
        "a remark",
        "testing",
    ]


def test_no_estimate_from_too_little(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("simulator.progress.time.monotonic", lambda: clock[0])
    stream = io.StringIO()
    progress = PlainProgress(stream, quiet_s=0.0)
    progress.total(10)
    for step_s in (4.0, 4.0, 4.0, 4.0, 4.0):
        clock[0] += step_s
        progress.advance("task")
    progress.stage("testing")
    progress.total(10)
    for _ in range(6):
        clock[0] += 0.1
        progress.advance("task")
    lines = stream.getvalue().splitlines()
    assert [line for line in lines if "left" in line] == ["5/10 task, about 20 s left"]


def test_a_bar_can_be_driven_and_closed_twice(capsys):
    progress = RichProgress()
    progress.stage("training [x]")
    progress.total(2)
    progress.advance("one")
    progress.line("a [remark]")
    progress.advance("two")
    progress.close()
    progress.close()
    assert "a [remark]" in capsys.readouterr().err


def test_logs_get_lines():
    assert isinstance(make_progress(), PlainProgress)


def test_other_processes_can_read_where_it_stands(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("simulator.progress.time.monotonic", lambda: now[0])
    path = tmp_path / ".study.note"
    progress = NotedProgress(PlainProgress(io.StringIO()), path)
    progress.stage("training")
    assert path.read_text() == "training"
    progress.total(20)
    for _ in range(11):
        now[0] += 0.9
        progress.advance("train")
    assert path.read_text() == "training, 10 of 20, about 9 s left", "not at every step"
    progress.line("train at north: waits")
    assert path.read_text() == "training, 11 of 20, train at north: waits"
    now[0] += 1.1
    progress.advance("train")
    assert path.read_text() == "training, 12 of 20, about 7 s left"
    progress.stage("writing")
    assert path.read_text() == "writing"
    path.unlink()
    tmp_path.rmdir()
    now[0] += 5
    progress.advance("no folder to write to")

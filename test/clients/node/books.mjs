// What the workloads of this folder share: the books of what was promised and what was done,
// and the talk with the Go test that kills the server meanwhile.
//
// A workload prints "." on a line of its own for each thing that it has seen happen since all of it has
// begun, which tells the test when to kill; the test writes "end" to its standard input after the last
// kill.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';

export const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

let begun = false;
// begin is called when everything is connected: libraries pass on a fault of the first connection, and get over those of later ones.
export function begin() { begun = true; }
export function progress() { if (begun) process.stdout.write('.\n'); }

// ended resolves when the test has killed the server for the last time.
export const ended = new Promise((resolve) => {
  createInterface({ input: process.stdin }).on('line', (line) => { if (line === 'end') resolve(); }).on('close', resolve);
});

let over = false;
ended.then(() => { over = true; });
export const isOver = () => over;

// Books account for things by their names.
export class Books {
  sent = new Set(); // handed to the library at least once
  acked = new Set(); // the library has said that it is there
  done = new Map(); // name to how often it was done

  // promise calls add until it succeeds, as often as the connection is lost.
  async promise(names, add) {
    for (const name of names) this.sent.add(name);
    for (;;) {
      try {
        await add();
        break;
      } catch (err) {
        if (!isLost(err)) throw err;
        await sleep(20);
      }
    }
    for (const name of names) {
      this.acked.add(name);
      progress();
    }
  }

  finish(name) {
    this.done.set(name, (this.done.get(name) ?? 0) + 1);
    progress();
  }

  missing() { return [...this.acked].filter((name) => !this.done.has(name)); }

  // balance checks that all that was acknowledged is done and nothing else is.
  balance(what) {
    assert.deepEqual(this.missing(), [], `${what}: acknowledged, but never done`);
    assert.deepEqual([...this.done.keys()].filter((name) => !this.sent.has(name)), [], `${what}: done, but never sent`);
    const again = [...this.done.values()].filter((n) => n > 1).length;
    console.log(`${what}: ${this.acked.size} acknowledged, all done, ${again} of them more than once`);
  }
}

// until waits for a condition and fails, with what detail returns, if it does not come about.
export async function until(what, condition, detail = () => '') {
  const deadline = Date.now() + 90_000;
  while (!await condition()) {
    if (Date.now() > deadline) assert.fail(`${what} does not come about: ${JSON.stringify(await detail())}`);
    await sleep(20);
  }
}

// isLost tells an error of the connection from an answer of the server.
export function isLost(err) {
  return /Socket closed|Connection is closed|ECONNREFUSED|ECONNRESET|EPIPE|Connection closed|closed unexpectedly|Disconnects client|The client is (closed|offline)|Command aborted/i
    .test(`${err?.name} ${err?.message} ${err?.code}`);
}

// report prints errors of clients that are not about the connection, and makes them fail the run.
export function report(who) {
  return (err) => {
    if (isLost(err)) return;
    console.error(who, err);
    process.exitCode = 1;
  };
}

// Does what an application does with node-redis, against the server at
// 127.0.0.1 and the port in the first argument, and exits with 0 if every answer is right.
import assert from 'node:assert/strict';
import { createClient, WatchError } from '@redis/client';

const port = Number(process.argv[2]);

async function connect(RESP) {
  const client = createClient({ RESP, socket: { host: '127.0.0.1', port, reconnectStrategy: false }, name: 'check' });
  client.on('error', (err) => { console.error(err); process.exitCode = 1; });
  await client.connect();
  return client;
}

async function strings(c) {
  assert.equal(await c.set('s', 'v', { expiration: { type: 'EX', value: 100 } }), 'OK');
  assert.equal(await c.get('s'), 'v');
  assert.ok(await c.ttl('s') > 90);
  assert.equal(await c.set('s', 'w', { condition: 'NX' }), null);
  assert.deepEqual(await c.mGet(['s', 'nosuch']), ['v', null]);
  assert.equal(await c.incrBy('n', 41), 41);
  assert.equal(await c.incr('n'), 42);
}

async function collections(c) {
  assert.equal(await c.hSet('h', { a: '1', b: '2' }), 2);
  assert.deepEqual({ ...await c.hGetAll('h') }, { a: '1', b: '2' });
  assert.equal(await c.rPush('l', ['x', 'y', 'z']), 3);
  assert.deepEqual(await c.lRange('l', 0, -1), ['x', 'y', 'z']);
  assert.equal(await c.sAdd('set', ['p', 'q']), 2);
  assert.deepEqual((await c.sMembers('set')).sort(), ['p', 'q']);
  await c.zAdd('z', [{ value: 'one', score: 1 }, { value: 'two', score: 2.5 }]);
  assert.deepEqual((await c.zRangeWithScores('z', 0, -1)).map(({ value, score }) => [value, score]), [['one', 1], ['two', 2.5]]);
  assert.equal(await c.zScore('z', 'two'), 2.5);
}

async function scans(c) {
  const want = [];
  for (let i = 0; i < 300; i++) want.push(`scan:${i}`);
  await Promise.all(want.map((key) => c.set(key, 'v'))); // one pipeline
  const got = new Set();
  for await (const page of c.scanIterator({ MATCH: 'scan:*', COUNT: 50 })) {
    for (const key of Array.isArray(page) ? page : [page]) got.add(key);
  }
  assert.deepEqual([...got].sort(), want.sort());
}

async function transactions(c, port) {
  assert.deepEqual(await c.multi().set('t', '1').incr('t').get('t').exec(), ['OK', 2, '2']);
  const other = await connect(2);
  await c.watch('t');
  await other.set('t', 'changed');
  await assert.rejects(c.multi().set('t', 'mine').exec(), WatchError);
  assert.equal(await c.get('t'), 'changed');
  await other.close();
}

async function errors(c) {
  await assert.rejects(c.lPush('s', 'x'), /WRONGTYPE/);
  await assert.rejects(c.sendCommand(['NOSUCH']), /unknown command/);
  assert.equal(await c.ping(), 'PONG');
}

for (const protocol of [2, 3]) {
  const c = await connect(protocol);
  await c.flushAll();
  for (const part of [strings, collections, scans, transactions, errors]) {
    await part(c);
    console.log(`RESP${protocol}: ${part.name} passed`);
  }
  await c.close();
}

'use strict';
/* Handlers that throw, return and print what no handler should: the input names it.
 *
 *     node odd.js [concurrency] */
const worker = require('../../../workers/sdk/futured_worker.js');

const raise = (error) => {
  throw error;
};
const thrower = () => raise(new Error('no text'));
const mute = { toString: thrower };
const getters = new Error('x');
getters.stack = 'x'; // it is made when it is first read, by toString
for (const name of ['name', 'message', 'stack']) Object.defineProperty(getters, name, { get: thrower });
class Fehlerzähler extends Error {}
const named = (name) => Object.assign(new Error('x'), { name });
const trap = new Proxy({}, { getPrototypeOf: thrower, get: thrower });
const never = () => new Promise(() => {});
const later = (run) => {
  setTimeout(run, 1);
  return never();
};
const abandoned = async () => raise(new TypeError('nobody awaits'));

const odd = {
  'mute': () => raise(mute),
  'getters': () => raise(getters),
  'umlaut': () => raise(new Fehlerzähler('ä\nö')),
  'foreign': () => raise(named('失敗')),
  'name': () => raise(named(7)),
  'long': () => raise(named('L'.repeat(300))),
  'huge': () => raise(new RangeError('x'.repeat(5000000))),
  'null': () => raise(null),
  'undefined': () => raise(undefined),
  'symbol': () => raise(Symbol('x')),
  'trap': () => raise(trap),
  'bare': () => raise(Object.create(null)),
  'callback': () => later(() => raise(new TypeError('in a callback'))),
  'rejection': () => (abandoned(), never()),
  'bigint': () => 1n,
  'function': () => () => 1,
  'circle': () => {
    const a = {};
    a.a = a;
    return a;
  },
  'toJSON': () => ({ toJSON: thrower }),
  'data': () => new worker.Result(7, 'text/plain'),
  'type': () => new worker.Result('x', 'text/plän'),
  'type none': () => new worker.Result('x', null),
  'type lines': () => new worker.Result('x', 'text/plain\nDONE 1 0'),
  'type long': () => new worker.Result('x', `text/${'x'.repeat(200)}`),
  'tiny': (task) => task.progress(1e-9),
  'not a number': (task) => task.progress(NaN),
  'much': (task) => task.log('x'.repeat(3000000)),
  'twice': () => later(() => raise(new TypeError('first'))),
  'fine': () => 'fine',
};

worker.handler('odd', (task) => odd[task.text](task));
worker.run({ concurrency: Number(process.argv[2] ?? 1) });

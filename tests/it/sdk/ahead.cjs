// SPDX-License-Identifier: Apache-2.0
// Loaded before an SDK: its clock is as far ahead as the server's clock of the tests, AHEAD_S seconds.
const ahead = Number(process.env.AHEAD_S) * 1000;
const { Date: Real } = globalThis;

globalThis.Date = class Date extends Real {
  constructor(...words) {
    super(...(words.length > 0 ? words : [Real.now() + ahead]));
  }

  static now() {
    return Real.now() + ahead;
  }
};

// What the scripts of both clients say, and when they end.

import { isDeepStrictEqual } from 'node:util'

export function expect (client, what, expected, actual) {
  if (!isDeepStrictEqual(expected, actual)) {
    console.error(`${client}: ${what}: expected`, expected, 'got', actual)
    process.exit(1)
  }
  console.log(`ok: ${client}: ${what}`)
}

export function expectIncludes (client, what, expected, all) {
  expect(client, what, true, [...all].includes(expected))
}

import { BlockList, isIP } from 'node:net';

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/**
 * True for the names and addresses by which only this machine can reach itself, in any spelling that a Host header, a
 * socket or HOST may use: `localhost`, 127.0.0.0/8, `::1`, `[::1]`, `::ffff:127.0.0.1`.
 */
export function isLoopback(name: string): boolean {
  const host = name.startsWith('[') && name.endsWith(']') ? name.slice(1, -1) : name;
  const family = isIP(host);
  if (family === 0) return host.toLowerCase() === 'localhost';
  return LOOPBACK.check(host, family === 4 ? 'ipv4' : 'ipv6');
}

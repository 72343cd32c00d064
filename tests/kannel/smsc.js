// An SMS centre for tests, on npm's smpp. The last two digits of a number choose what becomes of its message.
// Prints one line of JSON per message that it gets; a line of JSON that it reads ({from, to, text}) is a message from a phone.
const readline = require('readline');
const smpp = require('smpp');

const RECEIPT = { 22: 'UNDELIV', 33: 'EXPIRED', 44: 'REJECTD', 55: 'ACCEPTD' };
const REFUSE = { 58: 0x58, 11: 0x0b }; // throttled; invalid destination
delete smpp.commands.submit_sm.params.short_message.filter; // its octets as they came
let count = 0, bound = null;

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const { from, to, text } = JSON.parse(line);
  const coding = smpp.encodings.detect(text) === 'ASCII' ? 0 : 8; // GSM 03.38, else UCS-2
  bound.deliver_sm({ source_addr: from, destination_addr: to, data_coding: coding, short_message: text });
});

smpp.createServer((session) => {
  session.on('error', () => session.close());
  session.on('bind_transceiver', (pdu) => { bound = session; session.send(pdu.response({ system_id: 'test' })); });
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => { session.send(pdu.response()); session.close(); });
  session.on('submit_sm', (pdu) => {
    const to = pdu.destination_addr, last = to.slice(-2), id = 'ID' + (++count);
    if (REFUSE[last]) return session.send(pdu.response({ command_status: REFUSE[last] }));
    const octets = pdu.short_message, head = pdu.esm_class & 0x40 ? octets[0] + 1 : 0;
    const body = octets.subarray(head);
    console.log(JSON.stringify({
      from: pdu.source_addr, to, coding: pdu.data_coding, priority: pdu.priority_flag,
      validity: pdu.validity_period ? pdu.validity_period.toISOString() : '',
      udh: octets.subarray(0, head).toString('hex'), body: body.toString('hex'), gsm: smpp.encodings.ASCII.decode(body),
    }));
    session.send(pdu.response({ message_id: id }));
    if (last === '99') return; // the network never reports back
    const stat = RECEIPT[last] || 'DELIVRD';
    setTimeout(() => session.deliver_sm({
      esm_class: 4, source_addr: to, destination_addr: pdu.source_addr,
      short_message: { message: `id:${id} sub:001 dlvrd:000 submit date:2611231200 `
        + `done date:2611231201 stat:${stat} err:021 text:x` },
    }), 200);
  });
}).listen(Number(process.argv[2]), '127.0.0.1');

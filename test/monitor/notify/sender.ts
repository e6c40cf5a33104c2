/** A process of its own that sends what is due: `sender.ts <database> <receiver>`. */
import { openDatabase } from '../../../src/db/database.ts';
import { sendDue } from '../../../src/monitor/notify/deliver.ts';
import { notifyConfig } from './receiver.ts';

const [url = '', receiver = ''] = process.argv.slice(2);
const { db } = openDatabase({ url, max: 1, applicationName: 'tds-test' });
await sendDue(db, 'alerts', notifyConfig({ ALERT_WEBHOOK_URL: receiver }));

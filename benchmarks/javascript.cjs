// Lists every task with Apify's own client, a page at a time, and prints the seconds of CPU and of wall time of each walk.
// Usage: node javascript.cjs ADDRESS TOKEN WALKS
const { ApifyClient } = require('apify-client');

async function walk(tasks) {
    let listed = 0;
    let page;
    do {
        page = await tasks.list({ offset: listed, limit: 1000 });
        listed += page.items.length;
    } while (listed < page.total);
}

async function main(baseUrl, token, walks) {
    const tasks = new ApifyClient({ baseUrl, token }).tasks();
    for (let i = 0; i < walks; i += 1) {
        const start = performance.now();
        const before = process.cpuUsage();
        await walk(tasks);
        const { user, system } = process.cpuUsage(before);
        console.log((user + system) / 1e6, (performance.now() - start) / 1e3);
    }
}

main(...process.argv.slice(2));

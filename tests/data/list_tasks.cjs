// Lists every task with Apify's own client, a page at a time, and prints them, or the error, as JSON.
// Usage: node list_tasks.cjs ADDRESS TOKEN
const { ApifyClient } = require('apify-client');

async function main(baseUrl, token) {
    const tasks = new ApifyClient({ baseUrl, token, minDelayBetweenRetriesMillis: 1 }).tasks();
    const listed = [];
    const counts = [];
    let page;
    do {
        page = await tasks.list({ offset: listed.length, limit: 1000 });
        listed.push(...page.items);
        counts.push(page.count);
    } while (listed.length < page.total);
    return { counts, listed };
}

main(...process.argv.slice(2))
    .catch(({ statusCode, type }) => ({ error: { statusCode, type } }))
    .then((result) => console.log(JSON.stringify(result)));

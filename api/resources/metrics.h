/* metrics: GET /metrics, what a collector of metrics reads. */
#ifndef FUT_API_RESOURCES_METRICS_H
#define FUT_API_RESOURCES_METRICS_H

/* Prints all metrics to standard output as the Markdown that api/METRICS.md shows. */
void metrics_dump(void);

#endif

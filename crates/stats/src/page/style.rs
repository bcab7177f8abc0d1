//! How the page looks.

/// Its style sheet. Colours mean what they mean in HAProxy's page.
pub const CSS: &str = "\
:root{color-scheme:light;--line:#c9ced6;--head:#17324d}\
*{box-sizing:border-box}\
body{margin:1rem;font:14px/1.45 system-ui,sans-serif;color:#1b1f24;background:#fff}\
h1{font-size:1.3rem;margin:0}\
h2{font-size:1rem;font-weight:500;margin:.1rem 0 1rem;color:#475569}\
a{color:#0b5cad;text-decoration:none}a:hover{text-decoration:underline}\
.top{display:flex;flex-wrap:wrap;gap:1rem 2.5rem;align-items:flex-start;margin-bottom:1rem}\
.top h3{font-size:.95rem;margin:0 0 .3rem}\
.top p,.top ul{margin:0;padding:0;list-style:none}\
.legend{display:grid;grid-template-columns:auto auto;gap:.15rem .8rem}\
.legend span{padding:.05rem .5rem;border:1px solid var(--line)}\
.said{padding:.5rem .8rem;border:1px solid var(--line);margin-bottom:1rem}\
.px{margin:0 0 1.4rem}\
.px>h3{font-size:1rem;margin:0 0 .25rem}.px small{color:#475569;font-weight:400;margin-left:.6rem}\
.wide{overflow-x:auto;border:1px solid var(--line)}\
table{border-collapse:collapse;width:100%;font-size:12px;font-variant-numeric:tabular-nums;white-space:nowrap}\
th,td{padding:.2rem .4rem;border:1px solid var(--line);text-align:right}\
thead th{background:var(--head);color:#fff;text-align:center;font-weight:500}\
th.n,td.n{text-align:left;position:sticky;left:0;background:inherit}\
thead th.n{background:var(--head)}\
td.c{text-align:center}td[title],.t{text-decoration:underline dotted #64748b;cursor:help}\
tr{background:#fff}tr.fe,tr.be,tr.so{background:#e9edf2}tr.be{font-weight:600}\
.up{background:#c3f0c3}.up.bk{background:#b9d3f5}\
.godown{background:#ffffa8}.godown.bk{background:#d9b8f5}\
.goup{background:#ffd95c}.goup.bk{background:#f5c7ec}\
.down{background:#ff9c9c}.nocheck{background:#e6e6e6}.maint{background:#c79a5b}\
.drain,.nolb{background:#7cb8ff}\
.do{padding:.4rem 0;display:flex;gap:.5rem;flex-wrap:wrap;align-items:center}\
button,select,input{font:inherit}\
@media(max-width:40rem){button,select,input:not([type=checkbox]){min-height:2.4rem}\
input[type=checkbox]{width:1.3rem;height:1.3rem}.top li a{display:inline-block;padding:.2rem 0}\
td.n{max-width:9rem;overflow:hidden;text-overflow:ellipsis}}";

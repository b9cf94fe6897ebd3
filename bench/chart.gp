# chart.gp: the columns that bench_kernels wrote, as an SVG chart.
#   gnuplot -e "columns='kernels.tsv'; chart='kernels.svg'" bench/chart.gp
#
# A cluster for each kernel, a bar for each engine: its time as a multiple of ours. The line at 1 is ours; the scale is logarithmic,
# so twice as fast and half as fast are equally far from it.
#
# SPDX-License-Identifier: Apache-2.0
set terminal svg size 1400,560 dynamic font 'sans-serif,12' background '#ffffff'
set output chart
set datafile separator tab
set datafile missing '?'
stats columns using 0 skip 1 nooutput # how many there are: before any range is set, which would count
set title 'Time as a multiple of WASM Hypervisor with gas metering (above 1: slower than it)'
set style data histogram
set style histogram clustered gap 1.5
set style fill solid 0.9 noborder
set logscale y
set yrange [0.03:100]
set ytics (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
set grid ytics linecolor '#dddddd'
set xtics rotate by -35 nomirror
set key outside top center horizontal autotitle columnhead
set arrow from graph 0, first 1 to graph 1, first 1 nohead linewidth 2 linecolor '#222222' front
plot for [column = 2 : STATS_columns] columns using column : xticlabels(1) linecolor column

let dashboardStyle = ""
